import { defineConfig } from 'vitest/config'

export default defineConfig({ test: { globalSetup: '@conduit/client/testing/vitest/global-setup' } })
