import { expect, inject, test } from 'vitest'

import { createConduitClient, UnexpectedResponseError, type operations, type Result } from '../src/index.js'
import { client, password, publish, register, somebody, startSession } from './people.js'
import { startServer } from './server.js'
import { wire } from './wire.js'

test('an account: register, log in, read, update, log out, delete', async () => {
  const person = somebody()
  const conduit = client()

  const registered = await conduit.POST('/users', { body: { user: person } })
  expect(registered).toMatchObject({ ok: true, status: 201, data: { user: { username: person.username, bio: null } } })

  const loggedIn = await conduit.POST('/users/login', { body: { user: { email: person.email, password } } })
  expect(loggedIn).toMatchObject({ ok: true, status: 200, data: { user: { email: person.email } } })
  conduit.tokens.set(loggedIn.data!.user)

  const updated = await conduit.PUT('/user', { body: { user: { bio: 'I like to skateboard' } } })
  expect(updated.data?.user).toMatchObject({ username: person.username, bio: 'I like to skateboard' })
  expect((await conduit.GET('/user')).data).toEqual(updated.data)

  const sessions = await conduit.GET('/user/sessions')
  expect(sessions.data?.sessions.map(({ current }) => current)).toEqual([true, false])
  expect(await conduit.DELETE('/user/sessions')).toMatchObject({ ok: true, status: 204 })

  expect(await conduit.POST('/users/logout')).toMatchObject({
    ok: true,
    status: 204,
    data: undefined,
    error: undefined,
  })
  expect(await conduit.GET('/user')).toMatchObject({ status: 401, error: { errors: { token: ['is invalid'] } } })

  conduit.tokens.set(await startSession(person))
  const wrong = await conduit.DELETE('/user', { body: { user: { password: 'not it' } } })
  expect(wrong).toMatchObject({ status: 422, error: { errors: { password: [expect.any(String)] } } })
  expect(await conduit.DELETE('/user', { body: { user: { password } } })).toMatchObject({ status: 204 })
  expect(await conduit.GET('/user')).toMatchObject({ status: 401 })
})

test('an article: publish, read, list, change, delete', async () => {
  const author = await register()
  const conduit = client({ tokens: author })
  const slug = await publish(author)
  const params = { path: { slug } }

  const read = await conduit.GET('/articles/{slug}', { params })
  expect(read.data?.article).toMatchObject({ slug, body: 'You have to believe', author: { username: author.username } })

  const list = await conduit.GET('/articles', { params: { query: { author: author.username, limit: 5 } } })
  expect(list.data).toMatchObject({ articlesCount: 1, nextCursor: null, articles: [{ slug }] })

  const changed = await conduit.PUT('/articles/{slug}', { params, body: { article: { title: 'Again', tagList: [] } } })
  expect(changed.data?.article).toMatchObject({ title: 'Again', tagList: [], body: 'You have to believe' })

  const gone = { params: { path: { slug: changed.data!.article.slug } } }
  expect(await conduit.DELETE('/articles/{slug}', gone)).toMatchObject({ ok: true, status: 204, data: undefined })
  expect(await conduit.GET('/articles/{slug}', gone)).toMatchObject({ ok: false, status: 404 })
})

test('readers: follow, feed, favourite, comment', async () => {
  const author = await register()
  const conduit = client({ tokens: await register() })
  const slug = await publish(author)
  const params = { path: { slug } }

  const followed = await conduit.POST('/profiles/{username}/follow', {
    params: { path: { username: author.username } },
  })
  expect(followed.data?.profile.following).toBe(true)
  expect((await conduit.GET('/articles/feed')).data?.articles.map((article) => article.slug)).toEqual([slug])

  const marked = await conduit.POST('/articles/{slug}/favorite', { params })
  expect(marked.data?.article).toMatchObject({ favorited: true, favoritesCount: 1, author: { following: true } })
  const unmarked = await conduit.DELETE('/articles/{slug}/favorite', { params })
  expect(unmarked.data?.article).toMatchObject({ favorited: false, favoritesCount: 0 })

  const said = await conduit.POST('/articles/{slug}/comments', { params, body: { comment: { body: 'Mine too.' } } })
  expect(said).toMatchObject({ status: 201, data: { comment: { body: 'Mine too.' } } })
  expect((await conduit.GET('/articles/{slug}/comments', { params })).data?.comments).toEqual([said.data!.comment])
  const commentId = said.data!.comment.id
  const unsaid = await conduit.DELETE('/articles/{slug}/comments/{commentId}', {
    params: { path: { slug, commentId } },
  })
  expect(unsaid.status).toBe(204)
})

test('pages by cursor neither skip nor repeat', async () => {
  const conduit = client()
  const slugs: string[] = []
  let cursor: string | null = null
  do {
    const page: Result<operations['getArticles']> = await conduit.GET('/articles', {
      params: { query: { author: 'johndoe', limit: 3, ...(cursor === null ? {} : { cursor }) } },
    })
    slugs.push(...page.data!.articles.map(({ slug }) => slug))
    cursor = page.data!.nextCursor
  } while (cursor)
  const all = await conduit.GET('/articles', { params: { query: { author: 'johndoe', limit: 100 } } })
  expect(slugs).toEqual(all.data!.articles.map(({ slug }) => slug))
  expect(slugs.length).toBeGreaterThan(3)
})

test('parameters are encoded, whatever is in them', async () => {
  const person = await register({ ...somebody(), username: `ü?&#%2f ${somebody().username}` })
  const profile = await client().GET('/profiles/{username}', { params: { path: { username: person.username } } })
  expect(profile.data?.profile.username).toBe(person.username)
  const list = await client().GET('/articles', { params: { query: { tag: 'a&b=c#d', favorited: person.username } } })
  expect(list.data?.articlesCount).toBe(0)
})

test('failures come with their fields: 401, 403, 404, 409, 422', async () => {
  const taken = await register()
  const conduit = client()

  expect(await conduit.GET('/user')).toMatchObject({
    ok: false,
    status: 401,
    error: { errors: { token: ['is missing'] } },
  })

  const login = { user: { email: taken.email, password: 'wrong password' } }
  expect(await conduit.POST('/users/login', { body: login })).toMatchObject({
    status: 401,
    data: undefined,
    error: { errors: { credentials: ['invalid'] } },
  })

  const conflict = await conduit.POST('/users', { body: { user: { ...somebody(), username: taken.username } } })
  expect(conflict).toMatchObject({ status: 409, error: { errors: { username: ['has already been taken'] } } })

  const invalid = await conduit.POST('/users', {
    body: { user: { username: '', email: 'nothing', password: 'short' } },
  })
  if (invalid.status !== 422) {
    throw new Error(`${invalid.status}`)
  }
  expect(invalid.error.errors.username?.[0]).toBe("can't be blank")
  expect(invalid.error.errors.email?.[0]).toBe('is not a valid email')
  expect(invalid.error.errors.password?.[0]).toMatch(/too short/)

  const params = { path: { slug: await publish(taken) } }
  conduit.tokens.set(await register())
  expect(await conduit.DELETE('/articles/{slug}', { params })).toMatchObject({
    status: 403,
    error: { errors: { article: ['forbidden'] } },
  })
  const nowhere = { params: { path: { slug: 'no-such-article' } } }
  expect(await conduit.GET('/articles/{slug}', nowhere)).toMatchObject({
    status: 404,
    error: { errors: { article: ['not found'] } },
  })
})

test('304: an ETag in If-None-Match saves the body', async () => {
  const conduit = client()
  const first = await conduit.GET('/tags')
  const etag = first.response.headers.get('ETag')!
  expect(await conduit.GET('/tags', { headers: { 'If-None-Match': etag } })).toMatchObject({
    ok: false,
    status: 304,
    data: undefined,
    error: undefined,
  })
})

test('HEAD: status and headers only', async () => {
  const author = await register()
  const conduit = client({ tokens: author })
  const there = await conduit.HEAD('/articles/{slug}', { params: { path: { slug: await publish(author) } } })
  expect(there).toMatchObject({ ok: true, status: 200, data: undefined, error: undefined })
  const etag = there.response.headers.get('ETag')!
  expect(etag).toMatch(/^W\/"/)

  const same = { params: { path: { slug: there.response.url.split('/').pop()! } }, headers: { 'If-None-Match': etag } }
  expect(await conduit.HEAD('/articles/{slug}', same)).toMatchObject({ ok: false, status: 304, error: undefined })
  const missing = await conduit.HEAD('/articles/{slug}', { params: { path: { slug: 'no-such-article' } } })
  expect(missing).toMatchObject({ ok: false, status: 404, data: undefined, error: undefined })
  expect(await client().HEAD('/user')).toMatchObject({ ok: false, status: 401, error: undefined })
})

test('no answer: the rejection of fetch goes through', async () => {
  const { api, stop } = await startServer()
  const conduit = createConduitClient({ baseUrl: api })
  expect((await conduit.GET('/tags')).status).toBe(200)
  await stop()
  await expect(conduit.GET('/tags')).rejects.toBeInstanceOf(TypeError)

  await expect(client().GET('/tags', { signal: AbortSignal.abort('changed my mind') })).rejects.toBe('changed my mind')
})

test('an answer that the contract does not have is thrown, with what it was', async () => {
  const tagsAnswered = (response: () => Response) =>
    client({ fetch: wire(async (_, pass) => (await pass(), response())).fetch })
      .GET('/tags')
      .then(
        () => expect.unreachable(),
        (error: unknown) => error,
      )

  // A proxy, which has its own words for its own trouble. 503 is documented, but not as HTML.
  for (const status of [502, 503]) {
    const error = await tagsAnswered(() => new Response('<h1>Sorry</h1>', { status }))
    expect(error).toBeInstanceOf(UnexpectedResponseError)
    expect(error).toMatchObject({ name: 'UnexpectedResponseError', status, body: '<h1>Sorry</h1>' })
  }
  expect(await tagsAnswered(() => Response.json({ message: 'Sorry' }, { status: 503 }))).toMatchObject({
    message: 'GET /tags was answered with 503 in a way that is not in the contract',
    body: { message: 'Sorry' },
  })
  // A portal that puts its own page everywhere, and a documented status of another operation.
  expect(await tagsAnswered(() => new Response('<h1>Welcome</h1>'))).toMatchObject({ status: 200 })
  expect(await tagsAnswered(() => Response.json({ errors: {} }, { status: 403 }))).toMatchObject({ status: 403 })

  // A wrong base URL, at the real server.
  const lost = createConduitClient({ baseUrl: new URL('/', inject('api')).href })
  await expect(lost.GET('/tags')).rejects.toMatchObject({ status: 404, body: { errors: { route: ['not found'] } } })
})

test('a path that is not in the contract is refused, for those who call without types', async () => {
  const untyped = client() as unknown as { GET: (path: string) => Promise<unknown> }
  await expect(untyped.GET('/nowhere')).rejects.toThrow(new TypeError('the contract has no GET /nowhere'))
})

test.each(['', '.', '..', undefined, null])(
  'a path parameter that is %j names nothing, and leads nowhere else',
  async (sessionId) => {
    const { fetch, sent } = wire()
    const { token } = await register()
    const params = { path: { sessionId: sessionId as string } }
    const message = 'DELETE /user/sessions/{sessionId} was called without a sessionId'
    const call = client({ fetch, token }).DELETE('/user/sessions/{sessionId}', { params })
    await expect(call).rejects.toThrow(new TypeError(message))
    expect(sent).toEqual([])
  },
)

test('a status without a body, beside one that has a body elsewhere', async () => {
  const reset = { body: { passwordReset: { email: 'nobody@example.com' } } }
  const result = await client().POST('/password-resets', reset)
  expect(result).toMatchObject({ ok: true, status: 202, data: undefined, error: undefined })
  const page = wire(async () => new Response('<h1>Wait</h1>', { status: 202 }))
  await expect(client({ fetch: page.fetch }).POST('/password-resets', reset)).rejects.toThrow(UnexpectedResponseError)
})

test('an answer that is a text', async () => {
  const list = { params: { path: { listId: `${'x'.repeat(43)}.0` } } }
  const text = wire(async () => new Response('a.b.c', { headers: { 'Content-Type': 'application/statuslist+jwt' } }))
  expect(await client({ fetch: text.fetch }).GET('/status-lists/{listId}', list)).toMatchObject({ data: 'a.b.c' })
  expect(await client().GET('/status-lists/{listId}', list)).toMatchObject({ status: 404, data: undefined })
})
