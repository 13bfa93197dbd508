// Tokens that are revoked, seen by services that are not ours. One has the public keys and keeps status lists, with jose.
// The other asks, with oauth4webapi.
//
//   CONDUIT=path/to/conduit node --test
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { inflateSync } from 'node:zlib'

import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'

import { binary, env, serve } from '../conduit.mjs'

const issuer = 'https://conduit.example.com'
const person = { username: 'jake', email: 'jake@example.com', password: 'jakes long secret' }
const within = 5000 // milliseconds until whoever keeps lists has to know

// proxy stands where the public URL leads: it hands requests on to a server, and counts them by path.
function proxy(server) {
  const asked = {}
  const call = (url, options) => {
    const { origin, pathname } = new URL(url)
    assert.equal(origin, issuer)
    asked[pathname] = (asked[pathname] ?? 0) + 1
    return fetch(server.origin + pathname, options)
  }
  return { asked, call }
}

// keeper is a service that has the public keys, and keeps each list for its ttl. It asks for nothing else.
function keeper(server) {
  const { asked, call } = proxy(server)
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), { [customFetch]: call })
  const lists = new Map()
  const listAt = async (uri) => {
    const kept = lists.get(uri)
    if (kept && performance.now() < kept.until) return kept.bits
    const resolved = performance.now()
    const response = await call(uri, { headers: { Accept: 'application/statuslist+jwt' } })
    assert.equal(response.status, 200)
    assert.match(response.headers.get('Content-Type'), /^application\/statuslist\+jwt/)
    const { payload } = await jwtVerify(await response.text(), keys, { issuer, subject: uri, typ: 'statuslist+jwt' })
    assert.equal(payload.ttl, 5)
    assert.equal(payload.status_list.bits, 1)
    const bits = inflateSync(Buffer.from(payload.status_list.lst, 'base64url'))
    lists.set(uri, { bits, until: resolved + payload.ttl * 1000 })
    return bits
  }
  const accepts = async (token) => {
    const { payload } = await jwtVerify(token, keys, { issuer, audience: 'conduit', typ: 'at+jwt' })
    const { idx, uri } = payload.status.status_list
    const bits = await listAt(uri)
    assert.ok(idx < bits.length * 8)
    return ((bits[idx >> 3] >> (idx & 7)) & 1) === 0
  }
  return { accepts, asked }
}

// until asks every 50 ms until the answer is no, and returns how long that took.
async function until(accepted) {
  const began = performance.now()
  while (await accepted()) {
    assert.ok(performance.now() - began < 2 * within, 'still accepted')
    await pause(50)
  }
  return performance.now() - began
}

async function send(url, token, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  })
  const text = await response.text()
  assert.ok(response.ok, `${url}: ${response.status} ${text}`)
  return text && JSON.parse(text)
}

describe('services that are not ours learn of revocations', { concurrency: true }, async () => {
  const setUp = async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'conduit-revocation-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const start = async () => {
      const server = await serve({ cwd: folder, args: ['--demo=false', `--public-url=${issuer}`] })
      t.after(() => server.stop())
      return { ...server, api: `${server.origin}/api` }
    }
    const one = await start()
    const two = await start()
    await send(`${one.api}/users`, null, { user: person })
    const { email, password } = person
    const login = async () => (await send(`${one.api}/sessions`, null, { session: { email, password } })).session
    const conduit = async (...args) => (await promisify(execFile)(binary, args, { cwd: folder, env })).stdout
    return { one, two, login, conduit }
  }

  test('with the public keys and the lists alone, within five seconds', async (t) => {
    const { one, two, login, conduit } = await setUp(t)
    const service = keeper(two)
    const witness = await login()
    const endings = {
      revoked: ({ accessToken }) =>
        fetch(`${one.api}/revoke`, { method: 'POST', body: new URLSearchParams({ token: accessToken }) }),
      'logged out': ({ accessToken }) => send(`${one.api}/users/logout`, accessToken),
      'ended by an operator': ({ id }) => conduit('sessions', 'revoke', id),
    }
    for (const [what, end] of Object.entries(endings)) {
      const session = await login()
      assert.ok(await service.accepts(session.accessToken), 'a fresh token')
      const before = { ...service.asked }
      const began = performance.now()
      await end(session)
      const took = await until(() => service.accepts(session.accessToken))
      const seconds = (performance.now() - began) / 1000
      t.diagnostic(`${what}: refused after ${Math.round(took)} ms`)
      assert.ok(took <= within + 250, `${what}: ${took} ms`)
      assert.ok(await service.accepts(witness.accessToken), 'a token of another session')
      for (const [asked, times] of Object.entries(service.asked)) {
        assert.ok(times - (before[asked] ?? 0) <= 1 + seconds / 5, `${asked}: asked ${times} times`)
      }
    }
    await conduit('users', 'disable', 'jake')
    await until(() => service.accepts(witness.accessToken))
    assert.equal(service.asked['/.well-known/jwks.json'], 1)
    assert.deepEqual(
      Object.keys(service.asked).filter((path) => !/^\/(\.well-known\/jwks\.json|api\/status-lists\/.*)$/.test(path)),
      [],
    )
  })

  test('by asking, with credentials that rotate', async (t) => {
    const { one, two, login, conduit } = await setUp(t)
    const { call } = proxy(two)
    const options = { [oauth.customFetch]: call }
    const discovered = await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oauth2' })
    const as = await oauth.processDiscoveryResponse(new URL(issuer), discovered)
    assert.deepEqual(as.introspection_endpoint_auth_methods_supported, ['client_secret_basic'])
    const credentials = (out) => /^ID +(\S+)\nSecret +(\S+)\n/.exec(out).slice(1)
    const [id, first] = credentials(await conduit('clients', 'add', 'a service'))
    const client = { client_id: id }
    const introspect = async (token, secret = first) =>
      oauth.processIntrospectionResponse(
        as,
        client,
        await oauth.introspectionRequest(as, client, oauth.ClientSecretBasic(secret), token, options),
      )
    const revoke = async (token, authentication) =>
      oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, token, options))

    const session = await login()
    const { active, username, sid, token_type } = await introspect(session.accessToken)
    assert.deepEqual(
      { active, username, sid, token_type },
      { active: true, username: 'jake', sid: session.id, token_type: 'Bearer' },
    )
    assert.equal((await introspect(session.refreshToken)).token_type, 'refresh_token')
    assert.deepEqual(await introspect('nonsense'), { active: false })

    await revoke(session.refreshToken, oauth.ClientSecretBasic(first))
    assert.deepEqual(await introspect(session.accessToken), { active: false }) // with the very next request
    const other = await login()
    await revoke(other.accessToken, oauth.None())
    assert.deepEqual(await introspect(other.refreshToken), { active: false })
    await revoke('nonsense', oauth.None())

    const [, second] = credentials(await conduit('clients', 'rotate', id))
    for (const secret of [first, second]) {
      assert.deepEqual(await introspect('nonsense', secret), { active: false })
    }
    const [, third] = credentials(await conduit('clients', 'rotate', '--overlap=0s', id))
    assert.deepEqual(await introspect('nonsense', third), { active: false })
    const refused = (error) => error.status === 401 && error.cause !== undefined
    await assert.rejects(introspect('nonsense', first), refused)
    await assert.rejects(revoke('nonsense', oauth.ClientSecretBasic(second)), refused)
    await conduit('clients', 'remove', id)
    await assert.rejects(introspect('nonsense', third), refused)
    assert.equal((await fetch(`${one.api}/tags`)).status, 200)
  })
})
