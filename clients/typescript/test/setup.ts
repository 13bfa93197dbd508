import type { TestProject } from 'vitest/node'

import { startServer } from './server.js'

declare module 'vitest' {
  export interface ProvidedContext {
    api: string
  }
}

/** One live server for all tests, which keep out of each other's way by having their own users. */
export default async function setup(project: TestProject) {
  const { api, stop } = await startServer()
  project.provide('api', api)
  return stop
}
