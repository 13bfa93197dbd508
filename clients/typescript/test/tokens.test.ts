import { expect, test } from 'vitest'

import type { Tokens } from '../src/index.js'
import { client, password, register, startSession } from './people.js'
import { wire } from './wire.js'

test('without tokens there is no Authorization header at all', async () => {
  const { fetch, sent } = wire()
  for (const token of [undefined, null, '']) {
    const conduit = client({ fetch, token })
    expect(conduit.tokens.current).toBeUndefined()
    await conduit.GET('/articles')
  }
  expect(sent.map(({ authorization }) => authorization)).toEqual([null, null, null])
})

test('tokens change at a login and a logout, and the next call knows', async () => {
  const person = await register()
  const { fetch, sent } = wire()
  const conduit = client({ fetch })
  expect((await conduit.GET('/user')).status).toBe(401)

  conduit.tokens.set(person)
  expect(conduit.tokens.current).toEqual({ token: person.token })
  expect((await conduit.GET('/user')).data?.user.username).toBe(person.username)

  const session = await startSession(person)
  conduit.tokens.set(session)
  expect((await conduit.GET('/user')).data?.user.token).toBe(session.accessToken)

  conduit.tokens.clear()
  expect(conduit.tokens.current).toBeUndefined()
  expect((await conduit.GET('/user')).status).toBe(401)
  expect(sent.map(({ authorization }) => authorization)).toEqual([
    null,
    `Bearer ${person.token}`,
    `Bearer ${session.accessToken}`,
    null,
  ])
})

test('tokens are plain data, which an app can keep as JSON', async () => {
  const { tokens } = client({ tokens: await startSession(await register()) })
  const kept: Tokens = JSON.parse(JSON.stringify(tokens.current))
  expect(kept).toEqual({ token: expect.any(String), refreshToken: expect.any(String), sessionId: expect.any(String) })
  const conduit = client({ ...kept })
  expect(conduit.tokens.current).toEqual(kept)
  expect((await conduit.GET('/user')).status).toBe(200)
  expect(() => client({ refreshToken: kept.refreshToken })).toThrow(TypeError)
})

test('operations without security get no token', async () => {
  const person = await register()
  const { fetch, sent } = wire()
  const conduit = client({ fetch, tokens: { token: 'stale', refreshToken: 'stale' } })
  await conduit.GET('/tags')
  await conduit.POST('/users/login', { body: { user: { email: person.email, password } } })
  await conduit.POST('/users/login', { body: { user: { email: person.email, password: 'wrong password' } } })
  expect(sent.map(({ authorization }) => authorization)).toEqual([null, null, null])
  expect(conduit.tokens.current).toBeDefined()
})

test('a call with an Authorization header of its own is left alone', async () => {
  const [person, other] = [await register(), await register()]
  const { fetch, sent } = wire()
  const conduit = client({ fetch, tokens: person })
  const answer = (token: string) => conduit.GET('/user', { headers: { Authorization: `Bearer ${token}` } })
  expect((await answer(other.token)).data?.user.username).toBe(other.username)
  expect((await answer('stale')).status).toBe(401)
  expect(sent).toHaveLength(2)
  expect(conduit.tokens.current).toEqual({ token: person.token })
})

test('tokens without a token are refused', () => {
  const { tokens } = client()
  for (const token of ['', undefined, null]) {
    expect(() => tokens.set({ token } as unknown as Tokens)).toThrow(TypeError)
  }
  expect(tokens.current).toBeUndefined()
})
