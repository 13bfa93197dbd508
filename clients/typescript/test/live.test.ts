import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { expect, inject, onTestFinished, test, vi } from 'vitest'

import { serve } from '../../../tools/conduit.mjs'
import type { ConduitClient, EventsOptions, UserEvent } from '../src/index.js'
import { client, publish, register, startSession } from './people.js'

/** The events of a client, as they come. */
function follow(conduit: ConduitClient, options: EventsOptions = {}) {
  const got: UserEvent[] = []
  let opened = () => {}
  const isOpen = new Promise<void>((resolve) => (opened = resolve))
  const onConnection = vi.fn((open: boolean) => open && opened())
  const controller = new AbortController()
  const events = conduit.events({ onConnection, signal: controller.signal, ...options })
  const done = (async () => {
    for await (const event of events) {
      got.push(event)
    }
  })()
  done.catch(() => {}) // Most tests leave it.
  onTestFinished(() => controller.abort())
  return { events, got, done, isOpen, onConnection }
}

/** Writes comments below an article, one after another, and gives their ids. */
async function comment(reader: ConduitClient, slug: string, count: number) {
  const ids: number[] = []
  for (let n = 0; n < count; n++) {
    const result = await reader.POST('/articles/{slug}/comments', {
      params: { path: { slug } },
      body: { comment: { body: `Comment ${n}` } },
    })
    if (!result.ok) {
      throw new Error(`${result.status}`)
    }
    ids.push(result.data.comment.id)
  }
  return ids
}

/** How long events may take on a busy machine. */
const soon = { timeout: 40_000, interval: 50 }

const commentsIn = (events: UserEvent[]) =>
  events.flatMap((event) => (event.type === 'comment' ? event.comment.id : []))

/** Something between the client and a server, which cuts connections when a test says so, or after so many bytes. */
async function wireTo(target: () => string, bytes = () => Infinity) {
  const sockets = new Set<Socket>()
  let cuts = 0
  const proxy = createServer((near) => {
    const { hostname, port } = new URL(target())
    const far = connect(Number(port), hostname)
    let left = bytes()
    const cut = () => {
      for (const socket of [near, far]) {
        sockets.delete(socket)
        socket.destroy()
      }
    }
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', cut).on('close', cut)
    }
    near.on('data', (chunk) => far.write(chunk))
    far.on('data', (chunk) => {
      // The server wants about two seconds between tries, which would make the test long.
      const passed = Buffer.from(chunk.toString('latin1').replace(/retry: \d{4}/, 'retry: 0020'), 'latin1')
      near.write(passed.subarray(0, Math.min(left, passed.length)), () => {
        left -= passed.length
        if (left <= 0) {
          cuts++
          cut()
        }
      })
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const close = () => new Promise((resolve) => proxy.close(resolve))
  onTestFinished(async () => {
    for (const socket of sockets) {
      socket.destroy()
    }
    await close()
  })
  return { api: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/api`, cuts: () => cuts }
}

test('what happens comes to whom it concerns, and the events end with the session', async () => {
  const [author, reader] = [await register(), await register()]
  const session = await startSession(reader)
  const conduit = client({ tokens: session })
  const path = { username: author.username }
  expect((await conduit.POST('/profiles/{username}/follow', { params: { path } })).status).toBe(200)
  const { got, done, isOpen } = follow(conduit)
  await isOpen

  const slug = await publish(author, 'Something new')
  const own = await publish(reader, 'My own')
  const [id] = await comment(client({ tokens: author }), own, 1)
  const other = await startSession(reader)
  await client({ tokens: other }).POST('/users/logout')
  await vi.waitFor(() => expect(got).toHaveLength(4), soon)
  const sessionPath = { params: { path: { sessionId: session.id } } }
  expect((await client({ tokens: reader }).DELETE('/user/sessions/{sessionId}', sessionPath)).status).toBe(204)
  await done

  const at = expect.stringMatching(/^\d{4}-.*Z$/)
  expect(got).toEqual([
    { type: 'article', at, article: { slug, title: 'Something new', author: { username: author.username } } },
    {
      type: 'comment',
      at,
      article: { slug: own, title: 'My own', author: { username: reader.username } },
      comment: { id, author: { username: author.username } },
    },
    { type: 'login', at, session: { id: other.id, ipAddress: '127.0.0.1', userAgent: expect.any(String) } },
    { type: 'session-ended', at, session: { id: other.id, reason: 'logout' } },
    { type: 'session-ended', at, session: { id: session.id, reason: 'revoked' } },
  ])
})

test('a connection that is cut again and again loses nothing, and brings nothing twice', async () => {
  const [author, reader] = [await register(), await register()]
  const slug = await publish(author)
  // Anywhere: in the headers, in the first id, within an event and between two.
  const wire = await wireTo(
    () => inject('api'),
    () => Math.floor(300 + 2500 * Math.random()),
  )
  const { got, events } = follow(client({ tokens: await startSession(author), baseUrl: wire.api }))
  // A stream that is cut before its first id has not begun.
  await vi.waitFor(() => expect(events.lastEventId).toBeDefined(), soon)
  const ids = await comment(client({ tokens: reader }), slug, 60)
  await vi.waitFor(() => expect(commentsIn(got).length).toBeGreaterThanOrEqual(60), soon)
  expect(commentsIn(got)).toEqual(ids)
  expect(wire.cuts()).toBeGreaterThan(5)
})

test('a server that stops, and one that is killed, loses nothing to the next', async () => {
  const cwd = await mkdtemp(path.join(tmpdir(), 'conduit-live-'))
  let server = await serve({ cwd })
  onTestFinished(async () => {
    await server.stop()
    await rm(cwd, { recursive: true })
  })
  const wire = await wireTo(() => server.origin)
  const registerAt = async (username: string) => {
    const user = { username, email: `${username}@example.com`, password: 'correct horse battery' }
    const result = await client({ baseUrl: wire.api }).POST('/users', { body: { user } })
    const session = await client({ baseUrl: wire.api }).POST('/sessions', { body: { session: user } })
    expect([result.status, session.status]).toEqual([201, 201])
    return client({ baseUrl: wire.api, tokens: (session as Extract<typeof session, { status: 201 }>).data.session })
  }
  const [author, reader] = [await registerAt('author'), await registerAt('reader')]
  const article = { title: 'Mine', description: 'd', body: 'b' }
  const made = await author.POST('/articles', { body: { article } })
  const { got, isOpen, onConnection } = follow(author)
  await isOpen
  const ids: number[] = []
  for (const stop of [() => server.stop(), () => server.kill()]) {
    ids.push(...(await comment(reader, made.data!.article.slug, 3)))
    await stop()
    server = await serve({ cwd })
    ids.push(...(await comment(reader, made.data!.article.slug, 3)))
    await vi.waitFor(() => expect(commentsIn(got)).toEqual(ids), soon)
  }
  expect(onConnection.mock.calls.filter(([open]) => open).length).toBeGreaterThanOrEqual(3)
})
