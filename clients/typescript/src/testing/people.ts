import { createConduitClient, type ConduitClient } from '../client.js'
import type { User } from '../schema.js'
import type { Tokens } from '../tokens.js'

/** The password of everybody in the demo content. */
export const demoPassword = 'password123'

/** How somebody logs in. */
export interface LoginOptions {
  /** The password, if it is neither that of the demo content nor one with which the kit registered somebody. */
  password?: string
  /**
   * What the login gives: `token`, the one token of RealWorld's login, good for a day (the default); or `session`, a
   * token for minutes and a refresh token with it.
   */
  kind?: 'token' | 'session'
}

/** How somebody registers. */
export interface RegisterOptions extends LoginOptions {
  /** Their email, by default their name at example.com. */
  email?: string
}

/** Somebody who is logged in. */
export interface Person {
  readonly username: string
  readonly email: string
  readonly password: string
  /** The token for the `Authorization` header. */
  readonly token: string
  /** What to keep of the session: {@link token}, and the refresh token if there is one. */
  readonly tokens: Tokens
  readonly user: User
  /** A client of theirs. */
  readonly client: ConduitClient
}

/** Somebody could not be logged in or registered. */
export class LoginError extends Error {
  override readonly name = 'LoginError'
}

/** Logs people of one world in, and remembers those whom it registered. */
export function keepPeople(baseUrl: string) {
  const known = new Map<string, { email: string; password: string }>()

  async function loginAs(name: string, options: LoginOptions = {}): Promise<Person> {
    const account = known.get(name.toLowerCase())
    const email = account?.email ?? (name.includes('@') ? name : `${name.toLowerCase()}@example.com`)
    const password = options.password ?? account?.password ?? demoPassword
    const client = createConduitClient({ baseUrl })
    const credentials = { email, password }
    if (options.kind === 'session') {
      const result = await client.POST('/sessions', { body: { session: credentials } })
      if (result.status !== 201) {
        throw new LoginError(refusal(name, result.status, result.error))
      }
      client.tokens.set(result.data.session)
    } else {
      const result = await client.POST('/users/login', { body: { user: credentials } })
      if (!result.ok) {
        throw new LoginError(refusal(name, result.status, result.error))
      }
      client.tokens.set(result.data.user)
    }
    const result = await client.GET('/user')
    if (!result.ok) {
      throw new LoginError(refusal(name, result.status, result.error))
    }
    const { user } = result.data
    const tokens = client.tokens.current!
    return { username: user.username, email: user.email, password, token: tokens.token, tokens, user, client }
  }

  async function register(username: string, options: RegisterOptions = {}): Promise<Person> {
    const email = options.email ?? `${username.toLowerCase()}@example.com`
    const password = options.password ?? demoPassword
    const result = await createConduitClient({ baseUrl }).POST('/users', {
      body: { user: { username, email, password } },
    })
    if (!result.ok) {
      throw new LoginError(`"${username}" cannot be registered: ${messages(result.error)}`)
    }
    known.set(username.toLowerCase(), { email, password })
    return loginAs(username, options)
  }

  return { loginAs, register, forget: () => known.clear() }
}

function refusal(name: string, status: number, error: { errors: object } | undefined): string {
  if (status === 401) {
    return (
      `Nobody called "${name}" logs in with this password. A world with "demo" has "johndoe" and others; ` +
      `world.register("${name}") makes an account, and the option "password" says another password.`
    )
  }
  if (status === 202) {
    return `"${name}" has a second factor: log in by world.client and answer the challenge.`
  }
  return `"${name}" cannot log in (${status}): ${messages(error)}`
}

const messages = (error: { errors: object } | undefined) =>
  Object.entries(error?.errors ?? {})
    .map(([field, texts]) => `${field} ${texts}`)
    .join(', ')
