import type { TestProject } from 'vitest/node'

import { shareServer } from './server.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the server with worlds is. */
    conduitWorldsUrl?: string
  }
}

/** vitest's `globalSetup`: starts one server for all workers. */
export default async function globalSetup(project: TestProject): Promise<() => Promise<void>> {
  const server = await shareServer()
  project.provide('conduitWorldsUrl', server.url)
  return () => server.stop()
}
