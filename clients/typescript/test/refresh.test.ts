import { describe, expect, onTestFinished, test, vi } from 'vitest'

import type { ConduitClientOptions, Tokens } from '../src/index.js'
import { client, publish, register, staleTokens, startSession } from './people.js'
import { gate, isRefresh, refreshing, wire } from './wire.js'

/** A client that is watched, with tokens. */
function watched(tokens: Tokens, meddle?: Parameters<typeof wire>[0], options: Partial<ConduitClientOptions> = {}) {
  const network = wire(meddle)
  const onTokens = vi.fn()
  const onSignedOut = vi.fn()
  const conduit = client({ tokens, fetch: network.fetch, onTokens, onSignedOut, retry: false, ...options })
  return { conduit, onTokens, onSignedOut, refreshes: () => network.count(refreshing), ...network }
}

const nextTokens = async (refreshToken: string) => {
  const result = await client().POST('/sessions/refresh', { body: { session: { refreshToken } } })
  return result.data!.session
}

describe('a refused access token', () => {
  test('is refreshed once for twenty calls at once, and all succeed', async () => {
    const stale = await staleTokens()
    const { conduit, onTokens, onSignedOut, refreshes, count, sent } = watched(stale)
    const results = await Promise.all(Array.from({ length: 20 }, () => conduit.GET('/user')))

    expect(results.map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect(refreshes()).toBe(1)
    expect(count('GET /user')).toBe(40)
    expect(sent.find(({ line }) => line === refreshing)?.authorization).toBeNull()
    expect(onTokens.mock.calls).toEqual([[conduit.tokens.current]])
    expect(onSignedOut).not.toHaveBeenCalled()
    expect(conduit.tokens.current).toMatchObject({ sessionId: stale.sessionId })
    expect(conduit.tokens.current?.refreshToken).not.toBe(stale.refreshToken)
    expect((await conduit.GET('/user')).status).toBe(200)
    expect(count('GET /user')).toBe(41)
  })

  test('is refreshed again when it gets old again', async () => {
    const { conduit, refreshes } = watched(await staleTokens())
    for (const n of [1, 2, 3]) {
      conduit.tokens.set({ ...conduit.tokens.current, token: 'stale' })
      expect((await conduit.GET('/user')).status).toBe(200)
      expect(refreshes()).toBe(n)
    }
  })

  test('makes bodies be sent again', async () => {
    const { conduit, count } = watched(await staleTokens())
    const article = { title: 'Twice', description: 'Sent twice', body: 'x'.repeat(100_000) }
    const result = await conduit.POST('/articles', { body: { article } })
    expect(result).toMatchObject({ status: 201, data: { article } })
    expect(count('POST /articles')).toBe(2)
  })

  test('is noticed where a token is optional, for the answer is that for anonymous readers', async () => {
    const person = await register()
    const params = { path: { slug: await publish(person) } }
    await client({ tokens: person }).POST('/articles/{slug}/favorite', { params })

    const { conduit, refreshes } = watched(await staleTokens(person))
    const [article, list] = await Promise.all([
      conduit.GET('/articles/{slug}', { params }),
      conduit.GET('/articles', { params: { query: { author: person.username } } }),
    ])
    expect(article.data?.article.favorited).toBe(true)
    expect(list.data?.articles[0]?.favorited).toBe(true)
    expect(refreshes()).toBe(1)
    expect((await conduit.HEAD('/articles/{slug}', { params })).status).toBe(200)
  })

  test('is not refreshed if a newer one is there already', async () => {
    const late = gate()
    const { conduit, refreshes, count } = watched(await staleTokens(), async (request, pass) => {
      const response = await pass()
      if (request.url.endsWith('/user/sessions')) {
        await late.opened
      }
      return response
    })
    const slow = conduit.GET('/user/sessions')
    expect((await conduit.GET('/user')).status).toBe(200)
    late.open()
    expect((await slow).status).toBe(200)
    expect(refreshes()).toBe(1)
    expect(count('GET /user/sessions')).toBe(2)
  })

  test('tells newer tokens before the calls go on', async () => {
    const events: string[] = []
    const { conduit } = watched(await staleTokens(), undefined, { onTokens: () => events.push('tokens') })
    await conduit.GET('/user').then(() => events.push('answer'))
    expect(events).toEqual(['tokens', 'answer'])
  })

  test('does not fail calls because a listener fails', async () => {
    const reported: unknown[] = []
    const enqueue = globalThis.queueMicrotask
    vi.stubGlobal('queueMicrotask', (task: () => void) =>
      enqueue(() => {
        try {
          task()
        } catch (error) {
          reported.push(error)
        }
      }),
    )
    onTestFinished(() => void vi.unstubAllGlobals())

    const full = new Error('the storage is full')
    const onTokens = () => {
      throw full
    }
    const { conduit } = watched(await staleTokens(), undefined, { onTokens })
    expect((await conduit.GET('/user')).status).toBe(200)
    expect(reported).toEqual([full])
  })
})

test('a refusal that breaks off while its successor is waited for disturbs nobody', async () => {
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  onTestFinished(() => void process.off('unhandledRejection', unhandled))
  let breakOff!: (reason: Error) => void
  const body = new ReadableStream({ start: (controller) => (breakOff = (reason) => controller.error(reason)) })
  let first = true
  const { conduit } = watched(await staleTokens(), async (request, pass) => {
    if (isRefresh(request)) {
      breakOff(new Error('the connection broke'))
    } else if (first) {
      first = false
      const { status, headers } = await pass()
      return new Response(body, { status, headers })
    }
    return pass()
  })
  expect((await conduit.GET('/user')).status).toBe(200)
  await new Promise(setImmediate) // Node.js reports rejections after the microtasks.
  expect(unhandled).not.toHaveBeenCalled()
})

describe('the end of a session', () => {
  test('a refresh token that was used before: signed out once, each call gets its own 401', async () => {
    const stale = await staleTokens()
    const { refreshToken } = await nextTokens(stale.refreshToken)
    const newest = await nextTokens(refreshToken)

    const { conduit, onTokens, onSignedOut, refreshes } = watched(stale)
    const results = await Promise.all(Array.from({ length: 20 }, () => conduit.GET('/user')))
    for (const result of results) {
      expect(result).toMatchObject({ status: 401, error: { errors: { token: ['is invalid'] } } })
    }
    expect(refreshes()).toBe(1)
    expect(onSignedOut).toHaveBeenCalledTimes(1)
    expect(onTokens).not.toHaveBeenCalled()
    expect(conduit.tokens.current).toBeUndefined()

    // The server ended it for whoever has the newest tokens, too: one of the two stole them.
    expect((await client({ tokens: newest }).GET('/user')).status).toBe(401)
  })

  test('ended from another device', async () => {
    const person = await register()
    const { conduit, onSignedOut } = watched(await staleTokens(person))
    expect((await conduit.GET('/user')).status).toBe(200)
    await client({ tokens: person }).DELETE('/user/sessions')
    expect((await conduit.GET('/user')).status).toBe(401)
    expect(onSignedOut).toHaveBeenCalledTimes(1)
    expect((await conduit.GET('/articles')).status).toBe(200)
  })

  test('a refresh token that cannot be one (422)', async () => {
    const { conduit, onSignedOut } = watched({ token: 'stale', refreshToken: 'x'.repeat(2000) })
    expect((await conduit.GET('/user')).status).toBe(401)
    expect(onSignedOut).toHaveBeenCalledTimes(1)
  })

  test('a token without a refresh token', async () => {
    const { conduit, onSignedOut, sent } = watched({ token: 'stale' })
    const results = await Promise.all([conduit.GET('/user'), conduit.GET('/user')])
    expect(results.map(({ status }) => status)).toEqual([401, 401])
    expect(sent).toHaveLength(2)
    expect(onSignedOut).toHaveBeenCalledTimes(1)
    expect(conduit.tokens.current).toBeUndefined()
  })

  test('noticed where a token is optional: the answer for anonymous readers, and signed out', async () => {
    const { conduit, onSignedOut } = watched({ token: 'stale' })
    expect(await conduit.GET('/articles')).toMatchObject({ status: 200 })
    expect(onSignedOut).toHaveBeenCalledTimes(1)
  })

  test('without listeners', async () => {
    const stale = await staleTokens()
    const conduit = client({ tokens: stale })
    expect((await conduit.GET('/user')).status).toBe(200)
    conduit.tokens.set({ token: 'stale', refreshToken: 'stale' })
    expect((await conduit.GET('/user')).status).toBe(401)
    expect(conduit.tokens.current).toBeUndefined()
  })
})

describe('a server that cannot tell', () => {
  const errors = { server: ['is not available'] }
  const troubles: Record<string, () => Promise<Response>> = {
    '503': async () => Response.json({ errors }, { status: 503, headers: { 'Retry-After': '1' } }),
    '429': async () => Response.json({ errors }, { status: 429, headers: { 'Retry-After': '1' } }),
    '500': async () => Response.json({ errors }, { status: 500 }),
    '502 of a proxy': async () => new Response('Bad Gateway', { status: 502 }),
    '401 of a gateway': async () => Response.json({ errors: { gateway: ['is closed'] } }, { status: 401 }),
    'a page of a portal': async () => new Response('<h1>Welcome</h1>'),
    'an object of somebody else': async () => Response.json({}),
    'a session without tokens': async () => Response.json({ session: {} }),
    'no network': () => Promise.reject(new TypeError('fetch failed')),
  }

  test.each(Object.keys(troubles))('%s: nobody is signed out, and the next call tries again', async (trouble) => {
    const stale = await staleTokens()
    let troubled = true
    const { conduit, onTokens, onSignedOut, refreshes } = watched(stale, (request, pass) =>
      troubled && isRefresh(request) ? troubles[trouble]!() : pass(),
    )
    const results = await Promise.all(Array.from({ length: 20 }, () => conduit.GET('/user')))
    for (const result of results) {
      expect(result).toMatchObject({ status: 401, error: { errors: { token: ['is invalid'] } } })
    }
    expect(refreshes()).toBe(1)
    expect(conduit.tokens.current).toEqual(stale)
    expect(await conduit.GET('/articles')).toMatchObject({ status: 200 })
    expect(refreshes()).toBe(2)
    expect(onSignedOut).not.toHaveBeenCalled()

    troubled = false
    expect((await conduit.GET('/user')).status).toBe(200)
    expect(onTokens).toHaveBeenCalledTimes(1)
  })

  test('a 401 that does not say that the token is bad says nothing of it', async () => {
    const { conduit, onSignedOut, refreshes } = watched(await staleTokens(), async () =>
      Response.json({ errors }, { status: 401, headers: { 'WWW-Authenticate': 'Bearer realm="gateway"' } }),
    )
    expect(await conduit.GET('/user')).toMatchObject({ status: 401, error: { errors } })
    expect(refreshes()).toBe(0)
    expect(onSignedOut).not.toHaveBeenCalled()
    expect(conduit.tokens.current).toBeDefined()
  })

  test('503 of the call itself is an answer like others', async () => {
    const tokens = await startSession(await register())
    const { conduit, refreshes } = watched({ token: tokens.accessToken, refreshToken: tokens.refreshToken }, async () =>
      Response.json({ errors }, { status: 503 }),
    )
    expect(await conduit.GET('/user')).toMatchObject({ status: 503, error: { errors } })
    expect(refreshes()).toBe(0)
    expect(conduit.tokens.current?.token).toBe(tokens.accessToken)
  })
})

describe('while a refresh is under way', () => {
  /** A client whose refresh has been answered by the server; the answer arrives when the gate opens. */
  async function held(stale: Tokens) {
    const asked = gate()
    const answer = gate()
    const it = watched(stale, async (request, pass) => {
      const response = await pass()
      if (isRefresh(request)) {
        asked.open()
        await answer.opened
      }
      return response
    })
    return { ...it, asked: asked.opened, arrive: answer.open }
  }

  test('somebody logs out: they stay logged out', async () => {
    const { conduit, asked, arrive, onTokens, onSignedOut, count } = await held(await staleTokens())
    const call = conduit.GET('/user')
    await asked
    conduit.tokens.clear()
    arrive()
    expect((await call).status).toBe(401)
    expect(count('GET /user')).toBe(1)
    expect(conduit.tokens.current).toBeUndefined()
    expect(onTokens).not.toHaveBeenCalled()
    expect(onSignedOut).not.toHaveBeenCalled()
  })

  test('the same without refresh tokens: nothing is done in the name of somebody who logs in', async () => {
    const late = gate()
    const { conduit, count } = watched({ token: 'stale' }, async (_, pass) => {
      const response = await pass()
      await late.opened
      return response
    })
    const call = conduit.GET('/user')
    const other = await register()
    conduit.tokens.set(other)
    late.open()
    expect((await call).status).toBe(401)
    expect(count('GET /user')).toBe(1)
    expect(conduit.tokens.current).toEqual({ token: other.token })
  })

  test('somebody else logs in: nothing is done in their name', async () => {
    const { conduit, asked, arrive, onTokens, count } = await held(await staleTokens())
    const article = { title: 'Mine', description: 'Not theirs', body: 'Mine' }
    const call = conduit.POST('/articles', { body: { article } })
    await asked
    const other = await register()
    conduit.tokens.set(other)
    arrive()
    expect((await call).status).toBe(401)
    expect(count('POST /articles')).toBe(1)
    expect(conduit.tokens.current).toEqual({ token: other.token })
    expect(onTokens).not.toHaveBeenCalled()
  })

  test('another tab was quicker: its tokens stay', async () => {
    const stale = await staleTokens()
    const { conduit, asked, arrive, onTokens } = await held(stale)
    const call = conduit.GET('/user')
    await asked
    const ofOtherTab = await nextTokens((await nextTokens(stale.refreshToken)).refreshToken)
    conduit.tokens.set(ofOtherTab)
    arrive()
    expect((await call).status).toBe(200)
    expect(conduit.tokens.current?.refreshToken).toBe(ofOtherTab.refreshToken)
    expect(onTokens).not.toHaveBeenCalled()
  })

  test('the same tokens are set again: they are no newer ones', async () => {
    const stale = await staleTokens()
    const { conduit, asked, arrive, onTokens } = await held(stale)
    const call = conduit.GET('/user')
    await asked
    conduit.tokens.set({ ...stale })
    arrive()
    expect((await call).status).toBe(200)
    expect(onTokens).toHaveBeenCalledTimes(1)
  })

  test('a call is aborted: it need not wait, and the others go on', async () => {
    const { conduit, asked, arrive } = await held(await staleTokens())
    const abort = new AbortController()
    const call = conduit.GET('/user', { signal: abort.signal })
    const other = conduit.GET('/user')
    await asked
    abort.abort('changed my mind')
    await expect(call).rejects.toBe('changed my mind')
    arrive()
    expect((await other).status).toBe(200)
  })
})

test('two tabs that refresh in the same moment both go on', async () => {
  const stale = await staleTokens()
  const tabs = [watched(stale), watched(stale)]
  const results = await Promise.all(tabs.map(({ conduit }) => conduit.GET('/user')))
  expect(results.map(({ status }) => status)).toEqual([200, 200])
  expect(tabs.map(({ refreshes }) => refreshes())).toEqual([1, 1])
  expect(tabs[0]!.conduit.tokens.current?.refreshToken).toBe(tabs[1]!.conduit.tokens.current?.refreshToken)
})
