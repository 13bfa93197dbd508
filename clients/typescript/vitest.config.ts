import { fileURLToPath } from 'node:url'

import { defineConfig } from 'vitest/config'

// Each project has a server of its own: what other tests publish would move the example's pages.
const project = (name: string, include: string[], exclude: string[] = []) => ({
  extends: true as const,
  test: { name, include, exclude, globalSetup: 'test/setup.ts' },
})

export default defineConfig({
  resolve: { alias: { '@conduit/client': fileURLToPath(new URL('src/index.ts', import.meta.url)) } },
  test: {
    projects: [
      project('client', ['test/*.test.ts'], ['test/example.test.ts']),
      project('example', ['test/example.test.ts']),
    ],
    sequence: { shuffle: true },
    // Passwords are hashed slowly on purpose, and the machine may have other things to do.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
