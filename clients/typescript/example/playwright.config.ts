import { fileURLToPath } from 'node:url'

import { defineConfig } from '@playwright/test'
import type { WorldFixtures, WorldWorkerFixtures } from '@conduit/client/testing/playwright'

import { browser } from '../../../tools/chromium.mjs'
import { binary } from '../../../tools/conduit.mjs'

process.env.CONDUIT_BINARY ??= binary

export default defineConfig<WorldFixtures, WorldWorkerFixtures>({
  testDir: 'tests',
  outputDir: '../node_modules/.cache/playwright',
  fullyParallel: true,
  forbidOnly: true,
  workers: 4,
  reporter: 'list',
  // The machine may have other things to do.
  timeout: 60_000,
  expect: { timeout: 20_000 },
  // In a project that has installed the package: '@conduit/client/testing/playwright/global-setup'.
  globalSetup: fileURLToPath(new URL('../src/testing/playwright-setup.ts', import.meta.url)),
  webServer: {
    command: 'vite build . --logLevel=error && vite preview . --port 0',
    wait: { stdout: /http:\/\/localhost:(?<EXAMPLE_PORT>\d+)/ },
  },
  use: {
    baseURL: `http://localhost:${process.env.EXAMPLE_PORT}`,
    launchOptions: browser,
    // The page is built for this API. Each test has it ask a world of its own instead.
    frontEnd: {
      apiUrl: 'http://127.0.0.1:8080/api',
      keepSession: ({ tokens }) => ({ 'conduit.tokens': JSON.stringify(tokens) }),
    },
    worldOptions: { seed: 7, at: '2026-01-02T12:00:00Z' },
  },
})
