import { createServer, type AddressInfo } from 'node:net'

import type { TestProject } from 'vitest/node'

import { startServer } from './server.js'

declare module 'vitest' {
  export interface ProvidedContext {
    api: string
    /** Where the example page is to be: the server knows it as an origin that may use passkeys. */
    pagePort: number
  }
}

/** One live server for all tests, which keep out of each other's way by having their own users. */
export default async function setup(project: TestProject) {
  const pagePort = await freePort()
  const { api, stop } = await startServer(`--passkey-origins=http://localhost:${pagePort}`)
  project.provide('api', api)
  project.provide('pagePort', pagePort)
  return stop
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
