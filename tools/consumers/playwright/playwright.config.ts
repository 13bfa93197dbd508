import { defineConfig } from '@playwright/test'
import type { WorldFixtures, WorldWorkerFixtures } from '@conduit/client/testing/playwright'

export default defineConfig<WorldFixtures, WorldWorkerFixtures>({
  globalSetup: '@conduit/client/testing/playwright/global-setup',
  fullyParallel: true,
  workers: 2,
  reporter: 'line',
  use: { worldOptions: { seed: 7 }, worldScope: 'worker' },
})
