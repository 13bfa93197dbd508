/// <reference lib="esnext.disposable" preserve="true" />
import { createConduitClient, type ConduitClient } from '../client.js'
import type { Fault, FaultState } from './faults.js'
import { keepPeople, type LoginOptions, type Person, type RegisterOptions } from './people.js'
import type { World as WorldState, WorldClock as MovedClock } from './schema.js'
import { TestServerError, urlVariable, type Server } from './server.js'
import { answered, worldsClient } from './worlds.js'

export type { WorldState }

/** What a world begins with. Two worlds with the same options answer the same requests with the same bytes. */
export interface WorldOptions {
  /** What ids, keys and demo content are drawn from. Without it that is 1. */
  seed?: number
  /** The time at which it begins. Without it that is the time at which it is made, which is another one each time. */
  at?: Date | string
  /** Whether there is demo content, with `johndoe` and others. There is, unless this is false. */
  demo?: boolean
  /** Whether its clock stands still until the test moves it. It does, unless this is false. */
  frozen?: boolean
}

/** The clock of a world. Each change gives the time that it is then. */
export interface WorldClock {
  /** Goes to a time, before or after the present one. */
  set(at: Date | string): Promise<Date>
  /** Lets seconds pass. Tokens expire, and whoever was slowed down may go on. */
  advance(seconds: number): Promise<Date>
  /** Stops it until it is moved. */
  freeze(): Promise<Date>
  /** Lets it run from where it is. */
  run(): Promise<Date>
  /** Tells the time. */
  now(): Promise<Date>
}

/** What goes wrong in a world, by the script of its test. */
export interface WorldFaults {
  /** Has these faults from now on, and no others. A call meets the first that names its operation and is not used up. */
  set(faults: readonly Fault[]): Promise<FaultState[]>
  /** Has no faults from now on. */
  clear(): Promise<void>
  /** Tells of each fault how many calls have met it, and how many will. */
  list(): Promise<FaultState[]>
}

/** A Conduit of its own: what happens in it shows in no other world. */
export interface World extends AsyncDisposable {
  readonly id: string
  /** What a client takes as base URL: `http://127.0.0.1:41234/worlds/k3q9/api`. */
  readonly baseUrl: string
  /** Its documentation page, where each operation can be tried. */
  readonly docsUrl: string
  /** A client of nobody, until `client.tokens.set`. */
  readonly client: ConduitClient
  readonly clock: WorldClock
  readonly faults: WorldFaults
  /**
   * Logs somebody in: of the demo content, as `johndoe`, or registered here.
   *
   * @throws LoginError if the world has no such account, or the server refuses the login.
   */
  loginAs(username: string, options?: LoginOptions): Promise<Person>
  /** Makes an account and logs in. */
  register(username: string, options?: RegisterOptions): Promise<Person>
  /** Tells what the server knows of it: the time in it, how many requests it answered, when it ends. */
  state(): Promise<WorldState>
  /** Makes it what it was when it was made: content, accounts, sessions, ids, clock and faults. */
  reset(): Promise<void>
  /** Ends it. */
  delete(): Promise<void>
}

/**
 * Makes a world.
 *
 * @param server Where: a server, or its URL. Without it, the server of the global setup (`CONDUIT_WORLDS_URL`).
 * @throws WorldError if the server refuses, for instance because it has as many worlds as it keeps.
 */
export async function createWorld(options: WorldOptions = {}, server?: Pick<Server, 'url'> | string): Promise<World> {
  const url = typeof server === 'string' ? server.replace(/\/+$/, '') : (server?.url ?? process.env[urlVariable])
  if (!url) {
    throw new TestServerError(
      `createWorld was told of no server. Give it one of startServer, or set ${urlVariable}, as the global setup does.`,
    )
  }
  const worlds = worldsClient(url)
  const { at, ...rest } = options
  const body = { world: { demo: true, ...rest, ...(at !== undefined && { at: timestamp(at) }) } }
  const { world } = await answered('No world could be made', worlds.POST('/worlds', { body }))
  const { id, baseUrl, docsUrl } = world
  const init = { params: { path: { worldId: id } } }
  const people = keepPeople(baseUrl)
  const client = createConduitClient({ baseUrl })

  async function moveClock(clock: MovedClock): Promise<Date> {
    const call = worlds.PUT('/worlds/{worldId}/clock', { ...init, body: { clock } })
    return new Date((await answered(`The clock of world ${id} did not move`, call)).world.at)
  }
  const state = async () => (await answered(`World ${id} cannot be read`, worlds.GET('/worlds/{worldId}', init))).world
  const setFaults = async (faults: readonly Fault[]) => {
    const call = worlds.PUT('/worlds/{worldId}/faults', { ...init, body: { faults: [...faults] } })
    return (await answered(`World ${id} takes no such faults`, call)).faults
  }
  const end = async () => {
    await answered(`World ${id} did not end`, worlds.DELETE('/worlds/{worldId}', init))
  }
  return {
    id,
    baseUrl,
    docsUrl,
    client,
    clock: {
      set: (at) => moveClock({ at: timestamp(at) }),
      advance: (seconds) => moveClock({ advance: seconds }),
      freeze: () => moveClock({ frozen: true }),
      run: () => moveClock({ frozen: false }),
      now: async () => new Date((await state()).at),
    },
    faults: {
      set: setFaults,
      clear: async () => {
        await setFaults([])
      },
      list: async () => {
        const call = worlds.GET('/worlds/{worldId}/faults', init)
        return (await answered(`The faults of world ${id} cannot be read`, call)).faults
      },
    },
    loginAs: people.loginAs,
    register: people.register,
    state,
    reset: async () => {
      await answered(`World ${id} was not reset`, worlds.POST('/worlds/{worldId}/reset', init))
      people.forget()
      client.tokens.clear()
    },
    delete: end,
    [Symbol.asyncDispose]: end,
  }
}

const timestamp = (at: Date | string) => (typeof at === 'string' ? at : at.toISOString())
