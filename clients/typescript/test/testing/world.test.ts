import { createConduitClient } from '@conduit/client'
import { createWorld, demoPassword, LoginError, WorldError, type Fault, type World } from '@conduit/client/testing'
import { test } from '@conduit/client/testing/vitest'
import { expect } from 'vitest'

const article = { title: 'How to train your dragon', description: 'Ever wonder how?', body: 'You have to believe' }

/** What a world shows to everybody, without its id, by which alone two worlds of a seed may differ. */
async function shown(world: World, path = '/articles?limit=100') {
  const text = await (await fetch(world.baseUrl + path)).text()
  return text.replaceAll(world.id, 'ID')
}

test('eight worlds at once: none shows in another', async ({ conduit }) => {
  const worlds = await Promise.all(Array.from({ length: 8 }, () => createWorld({ demo: false }, conduit)))
  const counts = worlds.map(async (world, n) => {
    const jake = await world.register('jake')
    for (let published = 0; published < n; published++) {
      expect(await jake.client.POST('/articles', { body: { article } })).toMatchObject({ status: 201 })
    }
    const articles = await world.client.GET('/articles')
    return articles.ok && articles.data.articlesCount
  })
  expect(await Promise.all(counts)).toEqual(worlds.map((_, n) => n))
  expect(new Set(worlds.map(({ baseUrl }) => baseUrl)).size).toBe(8)
  await Promise.all(worlds.map((world) => world.delete()))
})

test('worlds of a seed answer with the same bytes, those of another seed do not', async ({ conduit }) => {
  const at = '2026-01-02T12:00:00Z'
  const [one, same, other] = await Promise.all([7, 7, 8].map((seed) => createWorld({ seed, at }, conduit)))
  expect(await shown(one!)).toBe(await shown(same!))
  expect(await shown(other!)).not.toBe(await shown(one!))
  const tokens = [one!, same!].map(async (world) => (await world.loginAs('johndoe')).token)
  expect(new Set(await Promise.all(tokens)).size).toBe(1)
})

test('there is demo content, unless there is to be none', async ({ world, conduit }) => {
  const [full, empty] = [
    await world.client.GET('/articles'),
    await (await createWorld({ demo: false }, conduit)).client.GET('/articles'),
  ]
  expect(full.ok && full.data.articlesCount).toBeGreaterThan(0)
  expect(empty.ok && empty.data.articlesCount).toBe(0)
})

test('somebody of the demo content logs in', async ({ world }) => {
  const john = await world.loginAs('johndoe')
  expect(john).toMatchObject({ username: 'johndoe', email: 'johndoe@example.com', tokens: { token: john.token } })
  expect(john.tokens).not.toHaveProperty('refreshToken')
  expect(await john.client.GET('/user')).toMatchObject({ data: { user: { username: 'johndoe' } } })
  expect(await world.client.GET('/user')).toMatchObject({ status: 401 })

  const { data } = await world.client.GET('/articles', { params: { query: { limit: 100 } } })
  const { username } = data!.articles.find(({ author }) => author.username !== 'johndoe')!.author
  expect(await world.loginAs(username)).toMatchObject({ username })
  expect(await world.loginAs(john.email, { kind: 'session' })).toMatchObject({
    username: 'johndoe',
    tokens: { refreshToken: expect.any(String), sessionId: expect.any(String) },
  })
})

test('somebody registers, and logs in again', async ({ world }) => {
  const jake = await world.register('Jake', { password: 'jakes secret', email: 'jake@conduit.test' })
  expect(jake).toMatchObject({ username: 'Jake', email: 'jake@conduit.test' })
  expect(await world.loginAs('jake', { kind: 'session' })).toMatchObject({ username: 'Jake' })
  await expect(world.register('Jake')).rejects.toThrow(
    /^"Jake" cannot be registered: .*username has already been taken/,
  )
})

test('somebody whom the world does not know: the error says what to do', async ({ world }) => {
  const unknown = world.loginAs('nobody')
  await expect(unknown).rejects.toBeInstanceOf(LoginError)
  await expect(unknown).rejects.toThrow(/Nobody called "nobody" .*world\.register\("nobody"\)/)
  await expect(world.loginAs('johndoe', { password: 'wrong password' })).rejects.toThrow(LoginError)
})

test('the clock: a token expires and is refreshed, then the session ends', async ({ world }) => {
  const john = await world.loginAs('johndoe', { kind: 'session' })
  let signedOut = 0
  const conduit = createConduitClient({ baseUrl: world.baseUrl, ...john.tokens, onSignedOut: () => signedOut++ })
  await world.clock.advance(20 * 60)
  expect(await conduit.GET('/user')).toMatchObject({ status: 200 })
  expect(conduit.tokens.current?.token).not.toBe(john.token)
  expect(signedOut).toBe(0)

  await world.clock.advance(40 * 24 * 3600)
  expect(await conduit.GET('/user')).toMatchObject({ status: 401 })
  expect(signedOut).toBe(1)
})

test('the clock is set, moved, stopped and left to run', async ({ world }) => {
  const at = new Date('2030-01-02T03:04:05.678Z')
  expect(await world.clock.set(at)).toEqual(at)
  expect(await world.clock.advance(-0.678)).toEqual(new Date('2030-01-02T03:04:05Z'))
  const jake = await world.register('jake')
  const made = await jake.client.POST('/articles', { body: { article } })
  expect(made.ok && made.data.article.createdAt).toBe('2030-01-02T03:04:05.000Z')

  await world.clock.run()
  expect((await world.state()).frozen).toBe(false)
  await expect.poll(world.clock.now).not.toEqual(new Date('2030-01-02T03:04:05Z'))
  const stopped = await world.clock.freeze()
  expect(await world.clock.now()).toEqual(stopped)
  await expect(world.clock.set('tomorrow')).rejects.toThrow(WorldError)
})

/** Asks once. A client may ask again by itself. */
const post = (world: World, path: string, body: object, token = '') =>
  fetch(world.baseUrl + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  })

test('faults: an answer of the contract, as often as it is said', async ({ world }) => {
  await world.faults.set([
    { operationId: 'getTags', status: 503, times: 2 },
    { operationId: 'login', status: 422 },
  ])
  const tags = async () => (await fetch(`${world.baseUrl}/tags`)).status
  expect([await tags(), await tags(), await tags()]).toEqual([503, 503, 200])
  const john = { user: { email: 'johndoe@example.com', password: demoPassword } }
  const refused = await post(world, '/users/login', john)
  expect([refused.status, await refused.json()]).toEqual([422, { errors: expect.any(Object) }])
  expect(await world.faults.list()).toMatchObject([
    { operationId: 'getTags', times: 0, met: 2 },
    { operationId: 'login', times: null, met: 1 },
  ])
  await world.faults.clear()
  expect(await world.faults.list()).toEqual([])
  expect((await post(world, '/users/login', john)).status).toBe(200)
})

test('faults: a connection that breaks, before and after the work was done', async ({ world }) => {
  const { client, token } = await world.register('jake')
  const publish = (title: string) => post(world, '/articles', { article: { ...article, title } }, token)
  await world.faults.set([
    { operationId: 'createArticle', broken: 'before', times: 1 },
    { operationId: 'createArticle', broken: 'after', times: 1 },
  ])
  await expect(publish('Before')).rejects.toThrow(TypeError)
  await expect(publish('After')).rejects.toThrow(TypeError)
  const { data } = await client.GET('/articles', { params: { query: { author: 'jake' } } })
  expect(data?.articles.map(({ title }) => title)).toEqual(['After'])
})

test('faults that the contract does not have are refused, also at run time', async ({ world }) => {
  const fault = { operationId: 'readMind', status: 503 } as unknown as Fault
  const refused = world.faults.set([fault])
  await expect(refused).rejects.toThrow(/takes no such faults: 422 operationId /)
  await expect(refused).rejects.toMatchObject({ status: 422, errors: { operationId: [expect.any(String)] } })
})

test('a reset brings everything back', async ({ world }) => {
  const before = await shown(world)
  const at = await world.clock.now()
  const jake = await world.register('jake')
  expect(await jake.client.POST('/articles', { body: { article } })).toMatchObject({ status: 201 })
  await world.clock.advance(3600)
  await world.faults.set([{ operationId: 'getTags', status: 500 }])
  world.client.tokens.set(jake.tokens)

  await world.reset()
  expect(await shown(world)).toBe(before)
  expect(await world.clock.now()).toEqual(at)
  expect(await world.faults.list()).toEqual([])
  expect(world.client.tokens.current).toBeUndefined()
  expect(await jake.client.GET('/user')).toMatchObject({ status: 401 })
  await expect(world.loginAs('jake')).rejects.toThrow(LoginError)
  expect(await world.register('jake')).toMatchObject({ username: 'jake' })
})

test('a world ends with its scope', async ({ conduit }) => {
  let ended: World
  {
    await using world = await createWorld({ demo: false }, conduit.url)
    ended = world
    expect(await world.state()).toMatchObject({ id: world.id, demo: false, frozen: true })
  }
  await expect(ended.state()).rejects.toThrow(WorldError)
  await expect(ended.delete()).rejects.toMatchObject({ status: 404 })
})
