import { inject, test as base } from 'vitest'

import { keepWorlds, type WorldScope } from './keeper.js'
import { connectServer, startServer, urlVariable, type Server, type ServerOptions } from './server.js'
import type { World, WorldOptions } from './world.js'
import './vitest-setup.js'

export type { WorldScope } from './keeper.js'

/** What the tests of a file share, and what each of them has. */
export interface WorldFixtures {
  /** What the world begins with. */
  worldOptions: WorldOptions
  /** Whether each test gets a world of its own, or each worker one that is reset before each test. */
  worldScope: WorldScope
  /** How a server is started where there is no global setup. */
  conduitOptions: ServerOptions
  /** The server: that of the global setup, or one of this worker. */
  conduit: Server
  /** The world of this test. */
  world: World
  /** @internal */
  worlds: ReturnType<typeof keepWorlds>
}

/** vitest's `test`, with a world for each test. */
export const test = base.extend<WorldFixtures>({
  worldOptions: {},
  worldScope: ['test', { scope: 'worker' }],
  conduitOptions: [{}, { scope: 'worker' }],
  conduit: [
    async ({ conduitOptions }, use) => {
      const shared = inject('conduitWorldsUrl') ?? process.env[urlVariable]
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
  world: async ({ worlds, worldOptions }, use) => {
    await worlds.lend(worldOptions, use)
  },
})
