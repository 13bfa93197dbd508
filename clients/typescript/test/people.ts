import { createHmac, randomUUID } from 'node:crypto'

import { inject } from 'vitest'

import { createConduitClient, type ConduitClientOptions, type SessionTokens, type Tokens } from '../src/index.js'

export const password = 'correct horse battery'

/** Somebody who is not registered yet, and whom no other test knows. */
export function somebody() {
  const username = `u${randomUUID().slice(0, 12)}`
  return { username, email: `${username}@example.com`, password }
}

type Options = Partial<ConduitClientOptions> & { tokens?: Tokens | SessionTokens }

/** A client of the live server, with these tokens from the first call on. */
export function client({ tokens, ...options }: Options = {}) {
  const conduit = createConduitClient({ baseUrl: inject('api'), ...options })
  if (tokens) {
    conduit.tokens.set(tokens)
  }
  return conduit
}

/** Registers somebody and gives the token of their first session. */
export async function register(person = somebody()) {
  const result = await client().POST('/users', { body: { user: person } })
  if (result.status !== 201) {
    throw new Error(`${result.status} ${JSON.stringify(result.error)}`)
  }
  return { ...person, token: result.data.user.token }
}

/** Starts a session with short tokens. */
export async function startSession({ email }: { email: string }): Promise<SessionTokens> {
  const result = await client().POST('/sessions', { body: { session: { email, password } } })
  if (result.status !== 201) {
    throw new Error(`${result.status} ${JSON.stringify(result.error)}`)
  }
  return result.data.session
}

/** What an authenticator app shows now (RFC 6238). */
function codeOf(secret: string): string {
  const bits = [...secret].map((digit) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(digit).toString(2).padStart(5, '0'),
  )
  const key = Buffer.from(
    bits
      .join('')
      .match(/.{8}/g)!
      .map((byte) => Number.parseInt(byte, 2)),
  )
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const hash = createHmac('sha1', key).update(step).digest()
  const number = hash.readUInt32BE(hash.at(-1)! & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}

/** Adds an authenticator app for a person, and gives their recovery codes. */
export async function addApp(person: { token: string }): Promise<string[]> {
  const conduit = client({ tokens: person })
  const enrolled = await conduit.POST('/user/factors/totp', { body: { factor: { password } } })
  if (!enrolled.ok) {
    throw new Error(`${enrolled.status} ${JSON.stringify(enrolled.error)}`)
  }
  const code = codeOf(enrolled.data.totp.secret)
  const confirmed = await conduit.PUT('/user/factors/totp', { body: { factor: { code } } })
  if (!confirmed.ok) {
    throw new Error(`${confirmed.status} ${JSON.stringify(confirmed.error)}`)
  }
  return confirmed.data.recoveryCodes
}

/** The tokens of a live session whose access token is no good any more. */
export async function staleTokens(person?: { email: string }) {
  const { id, refreshToken } = await startSession(person ?? (await register()))
  return { token: 'stale', refreshToken, sessionId: id }
}

/** Publishes an article and gives its slug. */
export async function publish({ token }: { token: string }, title = 'How to train your dragon') {
  const body = {
    article: { title, description: 'Ever wonder how?', body: 'You have to believe', tagList: ['dragons'] },
  }
  const result = await client({ tokens: { token } }).POST('/articles', { body })
  if (!result.ok) {
    throw new Error(`${result.status} ${JSON.stringify(result.error)}`)
  }
  return result.data.article.slug
}
