import { test as base } from '@playwright/test'

import { keepWorlds, type WorldScope } from './keeper.js'
import { openToPages, type FrontEnd, type PageWorld } from './page.js'
import { connectServer, startServer, urlVariable, type Server, type ServerOptions } from './server.js'
import type { WorldOptions } from './world.js'

export { expect } from '@playwright/test'
export { openToPages, type FrontEnd, type KeepSession, type PageWorld } from './page.js'
export type { WorldScope } from './keeper.js'

/** The options of each test, and its world. */
export interface WorldFixtures {
  /** What the world begins with. */
  worldOptions: WorldOptions
  /** How the front end comes to its world. */
  frontEnd: FrontEnd
  /** The world of this test. The pages of `page` and `context` use it. */
  world: PageWorld
}

/** The options of each worker, and its server. */
export interface WorldWorkerFixtures {
  /** Whether each test gets a world of its own, or each worker one that is reset before each test. */
  worldScope: WorldScope
  /** How a server is started where there is no global setup. */
  conduitOptions: ServerOptions
  /** The server: that of the global setup, or one of this worker. */
  conduit: Server
  /** @internal */
  worlds: ReturnType<typeof keepWorlds>
}

/** Playwright's `test`, with a world for each test and pages that use it. */
export const test = base.extend<WorldFixtures, WorldWorkerFixtures>({
  worldScope: ['test', { scope: 'worker', option: true }],
  conduitOptions: [{}, { scope: 'worker', option: true }],
  conduit: [
    async ({ conduitOptions }, use) => {
      const shared = process.env[urlVariable]
      const server = shared ? await connectServer(shared) : await startServer(conduitOptions)
      await use(server)
      await server.stop()
    },
    { scope: 'worker' },
  ],
  worlds: [
    async ({ conduit, worldScope }, use) => {
      const worlds = keepWorlds(conduit, worldScope)
      await use(worlds)
      await worlds.end()
    },
    { scope: 'worker' },
  ],
  worldOptions: [{}, { option: true }],
  frontEnd: [{}, { option: true }],
  world: async ({ worlds, worldOptions, frontEnd, baseURL }, use, testInfo) => {
    await worlds.lend(worldOptions, async (world) => {
      // The report of a test that failed says which world it was, so that it can be made again.
      testInfo.annotations.push({ type: 'world', description: `${world.docsUrl} ${JSON.stringify(worldOptions)}` })
      await use(openToPages(world, frontEnd, baseURL))
    })
  },
  context: async ({ context, world }, use) => {
    await world.attach(context)
    await use(context)
    // A request that is on its way when the test ends is nobody's business. Tests may have closed the context.
    await context.unrouteAll({ behavior: 'ignoreErrors' }).catch(() => {})
  },
})
