import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import {
  createConduitClient,
  EventsRefusedError,
  UnexpectedResponseError,
  type ConduitClientOptions,
  type EventsOptions,
  type UserEvent,
} from '../src/index.js'

const tokens = { token: 'first', refreshToken: 'refresh', sessionId: 'mine' }
const at = '2026-02-18T04:08:56.637Z'
const login = (id: string): UserEvent => ({ type: 'login', at, session: { id, ipAddress: '', userAgent: '' } })
const ended = (id: string): UserEvent => ({ type: 'session-ended', at, session: { id, reason: 'revoked' } })
const block = (id: string, event: UserEvent) => `id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
const beginning = 'retry: 100\nid: 0\n\n'
const reconnect = 'event: reconnect\ndata: {"type":"reconnect"}\n\n'

type Script = (request: Request) => Response | Promise<Response>

/** A stream whose other end is in the test's hands. */
function stream() {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  const cancelled = vi.fn()
  const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given), cancel: cancelled })
  const response = new Response(body, { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } })
  return {
    answer: () => response,
    send: (text: string) => controller.enqueue(new TextEncoder().encode(text)),
    close: () => controller.close(),
    cut: () => controller.error(new TypeError('cut off')),
    cancelled,
  }
}

/** An answer with this stream, which breaks off behind it. */
const streamOf = (text: string) => () => new Response(text, { headers: { 'Content-Type': 'text/event-stream' } })

const refusal = (status: number, headers = {}) =>
  Response.json({ errors: { token: ['is invalid'] } }, { status, headers })
const expired = () => refusal(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })

/** A client whose requests are answered by these in turn, and its events. */
function follow(script: Script[], options: EventsOptions = {}, given: Partial<ConduitClientOptions> = tokens) {
  const sent: { path: string; authorization: string | null; lastEventId: string | null; accept: string | null }[] = []
  const onSignedOut = vi.fn()
  const onConnection = vi.fn()
  const conduit = createConduitClient({
    baseUrl: 'http://conduit.test/api',
    ...given,
    onSignedOut,
    fetch: async (request) => {
      const header = (name: string) => request.headers.get(name)
      sent.push({
        path: new URL(request.url).pathname,
        authorization: header('Authorization'),
        lastEventId: header('Last-Event-ID'),
        accept: header('Accept'),
      })
      const next = script.shift()
      if (!next) {
        throw new TypeError('there is no server any more')
      }
      return next(request)
    },
  })
  const events = conduit.events({ onConnection, ...options })
  const got: UserEvent[] = []
  const done = (async () => {
    for await (const event of events) {
      got.push(event)
    }
  })()
  done.catch(() => {}) // Some tests look at it late.
  return { conduit, events, got, done, sent, onSignedOut, onConnection }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Lets everything happen that happens by itself within a time. */
const pass = (time = 0) => vi.advanceTimersByTimeAsync(time)

describe('a stream', () => {
  test('is asked for with a token, and its events come one by one', async () => {
    const server = stream()
    const { got, events, sent, done, onConnection } = follow([server.answer])
    server.send(beginning)
    await pass()
    expect(events.lastEventId).toBe('0')
    server.send(block('1', login('a')) + block('2', login('b')))
    await pass()
    expect(got).toEqual([login('a'), login('b')])
    expect(events.lastEventId).toBe('2')
    expect(sent).toEqual([
      { path: '/api/user/events', authorization: 'Bearer first', lastEventId: null, accept: 'text/event-stream' },
    ])
    expect(onConnection.mock.calls).toEqual([[true]])
    server.send(block('3', ended('mine')) + block('4', login('c')))
    await done
    expect(got).toEqual([login('a'), login('b'), ended('mine')])
    expect(server.cancelled).toHaveBeenCalledOnce()
  })

  test('goes on where an app was, and does not end with another session', async () => {
    const { got, sent } = follow([streamOf(beginning + block('8', ended('another')))], { lastEventId: '7' })
    await pass()
    expect(sent[0]).toMatchObject({ lastEventId: '7' })
    expect(got).toEqual([ended('another')])
  })

  test('gives what it has when asked, and reads no further', async () => {
    let pulled = 0
    const body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => controller.enqueue(new TextEncoder().encode(block(`${++pulled}`, login(`${pulled}`)))),
      },
      { highWaterMark: 0 },
    )
    const response = new Response(body, { headers: { 'Content-Type': 'text/event-stream' } })
    const conduit = createConduitClient({ baseUrl: 'http://conduit.test/api', fetch: async () => response })
    const events = conduit.events()
    for (let n = 1; n <= 3; n++) {
      expect(await events.next()).toEqual({ done: false, value: login(`${n}`) })
      await pass(60_000)
      expect(pulled).toBe(n)
    }
    expect(await events.return!()).toEqual({ done: true, value: undefined })
  })
})

describe('a lost stream', () => {
  test('goes on behind the last whole event', async () => {
    const first = stream()
    const second = stream()
    const { got, sent, onConnection } = follow([first.answer, second.answer])
    first.send(beginning + block('1', login('a')) + 'id: 2\nevent: login\ndata: {"ty')
    await pass()
    first.cut()
    await pass(100)
    second.send(block('2', login('b')))
    await pass()
    expect(sent.map(({ lastEventId }) => lastEventId)).toEqual([null, '1'])
    expect(got).toEqual([login('a'), login('b')])
    expect(onConnection.mock.calls).toEqual([[true], [false, new TypeError('cut off')], [true]])
  })

  test('goes on where it began if nothing had happened', async () => {
    const { sent } = follow([streamOf(beginning), streamOf('id: 9\n\n'), stream().answer])
    await pass(1000)
    expect(sent.map(({ lastEventId }) => lastEventId)).toEqual([null, '0', '9'])
  })

  test('is tried for more and more rarely while there is no server, and soon again after an event', async () => {
    const script = [streamOf(beginning)]
    const { sent, got } = follow(script)
    const counts = []
    for (let i = 0; i < 5; i++) {
      await pass(60_000)
      counts.push(sent.length)
    }
    expect(counts[0]).toBeGreaterThan(8)
    const [, , , before, after] = counts as [number, number, number, number, number]
    expect(after - before).toBeGreaterThanOrEqual(2)
    expect(after - before).toBeLessThanOrEqual(4)
    script.push(streamOf(block('1', login('a'))), streamOf(block('2', login('b'))))
    await pass(30_000)
    expect(got).toEqual([login('a'), login('b')])
  })

  test('is one that has been silent for 45 seconds', async () => {
    const first = stream()
    const { sent, onConnection } = follow([first.answer, stream().answer])
    first.send(beginning)
    for (let i = 0; i < 8; i++) {
      await pass(15_000)
      first.send(': \n\n')
    }
    await pass(44_000)
    expect(sent).toHaveLength(1)
    await pass(1200)
    expect(sent).toHaveLength(2)
    expect(first.cancelled).toHaveBeenCalledOnce()
    expect(onConnection.mock.calls[1]).toEqual([false, new Error('the server has been silent for too long')])
  })

  test('is one whose server never answers', async () => {
    const { sent } = follow([() => new Promise<Response>(() => {}), stream().answer])
    await pass(44_900)
    expect(sent).toHaveLength(1)
    await pass(2200)
    expect(sent).toHaveLength(2)
  })

  test('is one that sends what is no event', async () => {
    const { got, onConnection } = follow([streamOf(`${beginning}data: {\n\n`), streamOf(block('1', login('a')))])
    await pass(1000)
    expect(got).toEqual([login('a')])
    expect(onConnection.mock.calls[1]![1]).toBeInstanceOf(SyntaxError)
  })
})

describe('a server that stops', () => {
  test('says so, and is left at once', async () => {
    const { got, sent, onConnection } = follow([streamOf(block('1', login('a')) + reconnect), stream().answer])
    await pass()
    expect(got).toEqual([login('a')])
    expect(sent.map(({ lastEventId }) => lastEventId)).toEqual([null, '1'])
    expect(onConnection.mock.calls).toEqual([[true], [false, undefined], [true]])
  })

  test('is not asked again and again', async () => {
    const { sent } = follow(Array.from({ length: 100 }, () => streamOf(beginning + reconnect)))
    await pass(1000)
    expect(sent.length).toBeLessThan(8)
  })

  test.each([503, 429])('is asked again when it says so: %i', async (status) => {
    const { got, sent, onConnection } = follow([
      () => refusal(status, { 'Retry-After': '60' }),
      streamOf(block('1', login('a'))),
    ])
    await pass(59_900)
    expect(sent).toHaveLength(1)
    await pass(200)
    expect(got).toEqual([login('a')])
    expect(onConnection.mock.calls[0]![1]).toMatchObject({ name: 'EventsRefusedError', status })
  })

  test('may have something before it that answers in its place', async () => {
    const { got } = follow([() => new Response('<html>', { status: 502 }), streamOf(block('1', login('a')))])
    await pass(4000)
    expect(got).toEqual([login('a')])
  })
})

describe('a token', () => {
  const refreshed = () =>
    Response.json({ session: { id: 'mine', accessToken: 'second', refreshToken: 'another', expiresIn: 900 } })

  test('that has expired is refreshed, and the events go on', async () => {
    const { got, sent, conduit, onSignedOut } = follow([
      streamOf(block('1', login('a')) + reconnect),
      expired,
      refreshed,
      streamOf(block('2', login('b'))),
    ])
    await pass()
    expect(got).toEqual([login('a'), login('b')])
    expect(sent.map(({ path, authorization, lastEventId }) => [path, authorization, lastEventId])).toEqual([
      ['/api/user/events', 'Bearer first', null],
      ['/api/user/events', 'Bearer first', '1'],
      ['/api/sessions/refresh', null, null],
      ['/api/user/events', 'Bearer second', '1'],
    ])
    expect(conduit.tokens.current?.token).toBe('second')
    expect(onSignedOut).not.toHaveBeenCalled()
  })

  test('that cannot be refreshed now is tried again', async () => {
    const { got, onSignedOut } = follow(
      [expired, () => refusal(503), expired, refreshed, streamOf(block('1', login('a')))],
      {},
      { ...tokens, retry: false }, // or the refresh would be sent again at once
    )
    await pass(5000)
    expect(got).toEqual([login('a')])
    expect(onSignedOut).not.toHaveBeenCalled()
  })

  test('that is refused for good ends the events', async () => {
    const { got, done, onSignedOut, events } = follow([
      streamOf(block('1', login('a'))),
      expired,
      () => Response.json({ errors: { refreshToken: ['is invalid'] } }, { status: 401 }),
    ])
    await pass(5000)
    await done
    expect(got).toEqual([login('a')])
    expect(onSignedOut).toHaveBeenCalledOnce()
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  test('that is missing is an error', async () => {
    const { done, sent } = follow([() => refusal(401)], {}, {})
    await pass()
    await expect(done).rejects.toThrow(EventsRefusedError)
    await expect(done).rejects.toMatchObject({ status: 401, error: { errors: { token: ['is invalid'] } } })
    expect(sent).toHaveLength(1)
  })

  test('of the same session may be newer; that of another, or none, ends the events at once', async () => {
    for (const replace of [
      ({ conduit }: ReturnType<typeof follow>) => conduit.tokens.clear(),
      ({ conduit }: ReturnType<typeof follow>) => conduit.tokens.set({ token: 'x', sessionId: 'another' }),
    ]) {
      const server = stream()
      const followed = follow([server.answer])
      server.send(beginning)
      await pass()
      followed.conduit.tokens.set({ ...tokens, token: 'newer' })
      server.send(block('1', login('a')))
      await pass()
      expect(followed.got).toEqual([login('a')])
      replace(followed)
      await followed.done
      expect(server.cancelled).toHaveBeenCalledOnce()
      expect(followed.sent).toHaveLength(1)
    }
  })

  test('that is cleared while a lost stream is waited for ends the events at once', async () => {
    const { done, conduit } = follow([() => refusal(503, { 'Retry-After': '3600' })])
    await pass()
    conduit.tokens.clear()
    await done
  })
})

test.each([
  ['another status', () => new Response('nothing', { status: 404 })],
  ['another media type', () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } })],
  ['a 401 that is not the server’s', () => new Response('<html>', { status: 401 })],
])('an answer with %s is an error', async (_, answer) => {
  const { done } = follow([answer])
  await pass()
  await expect(done).rejects.toThrow(UnexpectedResponseError)
})

describe('a signal', () => {
  test('ends the loop at once, whatever it waits for', async () => {
    for (const answer of [
      stream().answer,
      () => new Promise<Response>(() => {}),
      () => refusal(503, { 'Retry-After': '3600' }),
    ]) {
      const controller = new AbortController()
      const { done, sent } = follow([answer], { signal: controller.signal })
      await pass(100)
      expect(sent).toHaveLength(1)
      controller.abort(new Error('enough'))
      await expect(done).rejects.toThrow('enough')
      await pass(7_200_000)
      expect(sent).toHaveLength(1)
    }
  })

  test('closes the stream, and lets nothing through that had come', async () => {
    const server = stream()
    const controller = new AbortController()
    const conduit = createConduitClient({ baseUrl: 'http://conduit.test/api', fetch: async () => server.answer() })
    server.send(block('1', login('a')) + block('2', login('b')))
    const events = conduit.events({ signal: controller.signal })
    expect((await events.next()).value).toEqual(login('a'))
    controller.abort()
    await expect(events.next()).rejects.toThrow(controller.signal.reason)
    await pass()
    expect(server.cancelled).toHaveBeenCalledOnce()
  })

  test('that was given before asks for nothing', async () => {
    const { done, sent } = follow([], { signal: AbortSignal.abort() })
    await expect(done).rejects.toMatchObject({ name: 'AbortError' })
    expect(sent).toEqual([])
  })
})

test('a loop that is left closes the stream, also while it waits', async () => {
  const server = stream()
  const { events, done } = follow([server.answer])
  server.send(beginning)
  await pass()
  await events.return!()
  await done
  expect(server.cancelled).toHaveBeenCalledOnce()

  const another = stream()
  another.send(block('1', login('a')))
  const conduit = createConduitClient({ baseUrl: 'http://conduit.test/api', fetch: async () => another.answer() })
  for await (const event of conduit.events()) {
    expect(event).toEqual(login('a'))
    break
  }
  expect(another.cancelled).toHaveBeenCalledOnce()
})
