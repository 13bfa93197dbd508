import { shareServer } from './server.js'

/** Playwright's `globalSetup`: starts one server for all workers. */
export default async function globalSetup(): Promise<() => Promise<void>> {
  const server = await shareServer()
  return () => server.stop()
}
