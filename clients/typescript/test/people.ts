import { randomUUID } from 'node:crypto'

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
  if (!result.ok) {
    throw new Error(`${result.status} ${JSON.stringify(result.error)}`)
  }
  return { ...person, token: result.data.user.token }
}

/** Starts a session with short tokens. */
export async function startSession({ email }: { email: string }): Promise<SessionTokens> {
  const result = await client().POST('/sessions', { body: { session: { email, password } } })
  if (!result.ok) {
    throw new Error(`${result.status} ${JSON.stringify(result.error)}`)
  }
  return result.data.session
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
