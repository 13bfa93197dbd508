import { describe, expect, test, vi } from 'vitest'

import type { ConduitClientOptions } from '../src/index.js'
import { brokenNetwork, type Fate } from './broken.js'
import { client, publish, register, staleTokens } from './people.js'
import { gate, isRefresh, wire } from './wire.js'

/** A client whose requests meet these fates. */
async function through(fates: Fate[], options: Partial<ConduitClientOptions> = {}) {
  const network = await brokenNetwork(...fates)
  return { ...network, conduit: client({ baseUrl: network.api, ...options }) }
}

const article = { title: 'Once', description: 'And no more', body: 'Whatever the network does' }
const errors = { server: ['is not available'] }

/** Answers by a proxy or a server in trouble: a status and its headers, one after another, and then what is true. */
function answering(...answers: [status: number, headers?: Record<string, string> | undefined][]) {
  return wire(async (_, pass) => {
    const [status, headers] = answers.shift() ?? []
    return status ? Response.json({ errors }, { status, ...(headers && { headers }) }) : pass()
  })
}

describe('a connection that breaks', () => {
  test.each<Fate>(['before', 'after', 'halfway'])('%s: a change is made once', async (fate) => {
    const author = await register()
    const { conduit, requests, keys } = await through([fate, fate])
    conduit.tokens.set(author)
    const published = await conduit.POST('/articles', { body: { article } })
    expect(published).toMatchObject({ ok: true, status: 201, data: { article } })
    expect(requests).toHaveLength(3)
    expect(new Set(keys()).size).toBe(1)
    expect(keys()[0]).toMatch(/^[0-9a-f]{32}$/)

    const list = await client().GET('/articles', { params: { query: { author: author.username } } })
    expect(list.data?.articles.map(({ slug }) => slug)).toEqual([published.data?.article.slug])
    const replayed = published.response.headers.get('Idempotent-Replayed')
    expect(replayed).toBe(fate === 'before' ? null : 'true')
  })

  test.each<Fate>(['before', 'after', 'halfway'])('%s: a read gets its answer', async (fate) => {
    const { conduit, requests, keys } = await through([fate])
    const [tags, again] = [await conduit.GET('/tags'), await client().GET('/tags')]
    expect(tags.data).toEqual(again.data)
    expect(tags.response.url).toContain('/api/tags')
    expect(requests).toHaveLength(2)
    expect(keys()).toEqual([undefined, undefined])
  })

  test('each time: the call fails like fetch, after four tries', async () => {
    const { conduit, requests } = await through(Array(4).fill('after'))
    await expect(conduit.GET('/tags')).rejects.toThrow(TypeError)
    expect(requests).toHaveLength(4)
  })

  test('a deletion is the same one again, and is not "not found"', async () => {
    const author = await register()
    const params = { path: { slug: await publish(author) } }
    const { conduit } = await through(['after'])
    conduit.tokens.set(author)
    expect(await conduit.DELETE('/articles/{slug}', { params })).toMatchObject({ ok: true, status: 204 })
  })

  test('calls have keys of their own', async () => {
    const { conduit, keys } = await through([])
    conduit.tokens.set(await register())
    await conduit.POST('/articles', { body: { article } })
    await conduit.POST('/articles', { body: { article } })
    await conduit.POST('/articles', { body: { article }, headers: { 'Idempotency-Key': 'of-my-own' } })
    expect(new Set(keys()).size).toBe(3)
    expect(keys()[2]).toBe('of-my-own')
  })
})

describe('an answer that asks to wait', () => {
  test.each([502, 503, 504])('%d: the call is sent again', async (status) => {
    const { fetch, count } = answering([status], [status, { 'Retry-After': '0' }])
    expect(await client({ fetch }).GET('/tags')).toMatchObject({ status: 200 })
    expect(count('GET /tags')).toBe(3)
  })

  test('429 with Retry-After: the call is sent again, not earlier', async () => {
    const { fetch, count } = answering([429, { 'Retry-After': '1' }])
    const began = performance.now()
    const body = { user: { email: 'johndoe@example.com', password: 'password123' } }
    expect(await client({ fetch }).POST('/users/login', { body })).toMatchObject({ status: 200 })
    expect(performance.now() - began).toBeGreaterThanOrEqual(1000)
    expect(count('POST /users/login')).toBe(2)
  })

  test('by a date, as the clock of the server has it', async () => {
    const date = 'Wed, 21 Oct 2015 07:28:00 GMT'
    const { fetch, count } = answering([503, { 'Retry-After': date, Date: date }])
    expect(await client({ fetch }).GET('/tags')).toMatchObject({ status: 200 })
    expect(count('GET /tags')).toBe(2)
    const hour = answering([503, { 'Retry-After': 'Wed, 21 Oct 2015 08:28:00 GMT', Date: date }])
    expect(await client({ fetch: hour.fetch }).GET('/tags')).toMatchObject({ status: 503, error: { errors } })
  })

  test.each([
    ['429 for an hour', 429, { 'Retry-After': '3600' }],
    ['429 without a word', 429, undefined],
    ['429 in other words', 429, { 'Retry-After': 'soon' }],
    ['503 for an hour', 503, { 'Retry-After': '3600' }],
    ['500', 500, undefined],
  ])('%s: the call gives that answer at once', async (_, status, headers) => {
    const { fetch, sent } = answering([status, headers])
    const began = performance.now()
    const body = { user: { email: 'johndoe@example.com', password: 'password123' } }
    expect(await client({ fetch }).POST('/users/login', { body })).toMatchObject({ status, error: { errors } })
    expect(performance.now() - began).toBeLessThan(1000)
    expect(sent).toHaveLength(1)
  })

  test('each time: the call gives the last answer', async () => {
    const { fetch, sent } = answering([503], [502], [504], [503])
    expect(await client({ fetch }).GET('/tags')).toMatchObject({ status: 503, error: { errors } })
    expect(sent).toHaveLength(4)
  })

  test('and then none: whether something was done is not known, so the call fails', async () => {
    let tries = 0
    const { fetch } = wire(() => {
      if (++tries === 1) {
        return Promise.resolve(Response.json({ errors }, { status: 503 }))
      }
      throw new TypeError('the connection broke')
    })
    const call = client({ fetch, retry: { attempts: 2 } }).POST('/users/logout')
    await expect(call).rejects.toThrow('the connection broke')
  })
})

test('an answer is left whole, whatever looks after it', async () => {
  let tries = 0
  const { fetch } = wire(async (_, pass) => {
    const response = ++tries === 1 ? Response.json({ errors }, { status: 503 }) : await pass()
    return new Proxy(response, {
      get(target, name) {
        expect(name).not.toBe('body') // SvelteKit takes that for a reader's.
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  })
  expect(await client({ fetch }).GET('/tags')).toMatchObject({ status: 200 })
  expect(tries).toBe(2)
})

describe('an app decides', () => {
  test('that nothing is sent again, and nothing has a key', async () => {
    const { conduit, requests, keys } = await through(['before', 'before'], { retry: false })
    await expect(conduit.POST('/users/logout')).rejects.toThrow(TypeError)
    expect(requests).toHaveLength(1)
    expect(keys()).toEqual([undefined])
  })

  test('for one call', async () => {
    const { conduit, requests } = await through(['before'])
    await expect(conduit.GET('/tags', { retry: false })).rejects.toThrow(TypeError)
    expect(await conduit.GET('/tags')).toMatchObject({ status: 200 })
    expect(requests).toHaveLength(2)
  })

  test('how often, and for how long', async () => {
    const often = answering(...Array<[number]>(9).fill([503]))
    await client({ fetch: often.fetch, retry: { attempts: 6, maxWait: 60_000 } }).GET('/tags')
    expect(often.sent).toHaveLength(6)
    const short = answering([503, { 'Retry-After': '2' }])
    expect(await client({ fetch: short.fetch, retry: { maxWait: 1000 } }).GET('/tags')).toMatchObject({ status: 503 })
    expect(short.sent).toHaveLength(1)
  })

  test('to give up while the client waits, and it ends at once', async () => {
    const asked = gate()
    const { fetch, sent } = wire(async () => {
      asked.open()
      return Response.json({ errors }, { status: 503, headers: { 'Retry-After': '9' } })
    })
    const giving = new AbortController()
    const call = client({ fetch }).GET('/tags', { signal: giving.signal })
    await asked.opened
    const began = performance.now()
    giving.abort('changed my mind')
    await expect(call).rejects.toBe('changed my mind')
    expect(performance.now() - began).toBeLessThan(1000)
    expect(sent).toHaveLength(1)
  })

  test('to give up before, and nothing is sent again', async () => {
    const { fetch, sent } = wire(() => Promise.reject(new TypeError('the connection broke')))
    const giving = AbortSignal.abort('no')
    await expect(client({ fetch }).GET('/tags', { signal: giving })).rejects.toThrow()
    expect(sent).toHaveLength(1)
  })
})

describe('with tokens', () => {
  test('a call that is repeated after a refresh has the same key', async () => {
    const keys: (string | null)[] = []
    const { fetch } = wire(async (request, pass) => {
      if (!isRefresh(request)) {
        keys.push(request.headers.get('Idempotency-Key'))
      }
      return pass()
    })
    const conduit = client({ tokens: await staleTokens(), fetch })
    expect(await conduit.POST('/articles', { body: { article } })).toMatchObject({ status: 201 })
    expect(keys).toHaveLength(2)
    expect(keys[0]).toBe(keys[1])
  })

  test('a refresh whose answer is lost is the same one again, and nobody is logged out', async () => {
    const stale = await staleTokens()
    const onSignedOut = vi.fn()
    const { conduit, requests, keys } = await through(['through', 'after', 'after'], { onSignedOut })
    conduit.tokens.set(stale)
    expect(await conduit.GET('/user/sessions')).toMatchObject({ status: 200 })
    expect(requests.map((head) => head.split(' ', 2).join(' '))).toEqual([
      'GET /api/user/sessions',
      ...Array(3).fill('POST /api/sessions/refresh'),
      'GET /api/user/sessions',
    ])
    expect(new Set(keys()).size).toBe(2) // that of the refresh, and none
    expect(onSignedOut).not.toHaveBeenCalled()
  })

  test('reads show what a repeated change has left', async () => {
    const shown: (string | null)[] = []
    let tries = 0
    const { fetch } = wire(async (request, pass) => {
      if (request.method === 'GET') {
        shown.push(request.headers.get('Conduit-Position'))
        return pass()
      }
      const response = await pass()
      if (++tries === 1) {
        throw new TypeError('the connection broke')
      }
      const headers = new Headers(response.headers)
      headers.set('Conduit-Position', 'a-1')
      return new Response(response.body, { status: response.status, headers })
    })
    const conduit = client({ tokens: await register(), fetch })
    expect(await conduit.POST('/articles', { body: { article } })).toMatchObject({ status: 201 })
    await conduit.GET('/tags')
    expect(shown).toEqual(['a-1'])
  })
})
