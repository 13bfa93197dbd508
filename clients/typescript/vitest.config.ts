import { fileURLToPath } from 'node:url'

import { defineConfig } from 'vitest/config'

import { binary } from '../../tools/conduit.mjs'

process.env.CONDUIT_BINARY ??= binary
const source = (name: string) => fileURLToPath(new URL(`src/${name}.ts`, import.meta.url))

// Each project has a server of its own: what other tests publish would move the example's pages.
const project = (name: string, include: string[], exclude: string[] = [], globalSetup = 'test/setup.ts') => ({
  extends: true as const,
  test: { name, include, exclude, globalSetup },
})

export default defineConfig({
  resolve: {
    alias: {
      '@conduit/client/testing/vitest': source('testing/vitest'),
      '@conduit/client/testing': source('testing/index'),
      '@conduit/client': source('index'),
    },
  },
  test: {
    projects: [
      project('client', ['test/*.test.ts'], ['test/example.test.ts']),
      project('example', ['test/example.test.ts']),
      // In a project that has installed the package: '@conduit/client/testing/vitest/global-setup'.
      project('worlds', ['test/testing/*.test.ts'], [], source('testing/vitest-setup')),
    ],
    sequence: { shuffle: true },
    // Passwords are hashed slowly on purpose, and the machine may have other things to do.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
