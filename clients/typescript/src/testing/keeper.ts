import type { Server } from './server.js'
import { createWorld, type World, type WorldOptions } from './world.js'
import { WorldError } from './worlds.js'

/**
 * How long a world lives: each `test` gets one of its own; or each `worker`, the process that runs one test after the
 * other, has one that is reset before each test.
 */
export type WorldScope = 'test' | 'worker'

/** Makes the worlds of one worker, and ends those that it has made. */
export function keepWorlds(server: Server, scope: WorldScope) {
  const kept = new Map<string, World>()

  /** Gives a world that is as it was when it was made. */
  async function fresh(options: WorldOptions): Promise<World> {
    const key = JSON.stringify(Object.entries(options).sort())
    const world = kept.get(key)
    try {
      await world?.reset()
      if (world) {
        return world
      }
    } catch (error) {
      // Nobody used it for a while, and it ended by itself.
      if (!(error instanceof WorldError && error.status === 404)) {
        throw error
      }
    }
    const made = await createWorld(options, server)
    kept.set(key, made)
    return made
  }

  /** Lends a world to a test for as long as that runs. */
  async function lend(options: WorldOptions, use: (world: World) => Promise<void>): Promise<void> {
    if (scope === 'worker') {
      await use(await fresh(options))
      return
    }
    const world = await createWorld(options, server)
    await use(world)
    await unlessGone(world)
  }

  async function end(): Promise<void> {
    await Promise.all([...kept.values()].map(unlessGone))
  }

  return { lend, end }
}

/** Ends a world, which its test may have done before. */
async function unlessGone(world: World): Promise<void> {
  try {
    await world.delete()
  } catch (error) {
    if (!(error instanceof WorldError && error.status === 404)) {
      throw error
    }
  }
}
