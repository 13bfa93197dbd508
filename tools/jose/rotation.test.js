// Conduit's tokens, checked by a library that is not ours: jose reads the public keys of a running server and decides. Nothing
// here reads a private key or the database.
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

import { createRemoteJWKSet, customFetch, decodeProtectedHeader, jwtVerify } from 'jose'

import { binary, env, serve } from '../conduit.mjs'

const person = { username: 'jake', email: 'jake@example.com', password: 'jakes long secret' }
const followWithin = 30_000 // instances look every 10 s

// poll asks until the answer is true, or fails when the time is over.
async function poll(what, ask) {
  for (const end = Date.now() + followWithin; !(await ask()); await pause(250)) {
    assert.ok(Date.now() < end, `${what}: not within ${followWithin} ms`)
  }
}

// start starts an instance in a folder, where its database and key file are.
async function start(folder, algorithm) {
  const server = await serve({ cwd: folder, args: ['--demo=false', `--key-algorithm=${algorithm}`] })
  return { ...server, jwks: new URL('/.well-known/jwks.json', server.origin) }
}

// post sends somebody's details and gives the token in the answer.
async function post(url, user, status) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user }),
  })
  assert.equal(response.status, status)
  return (await response.json()).user.token
}

const register = (server) => post(`${server.api}/users`, person, 201)
const login = (server) => post(`${server.api}/users/login`, { email: person.email, password: person.password }, 200)
const kidOf = (token) => decodeProtectedHeader(token).kid

async function statusOf(server, token) {
  const response = await fetch(`${server.api}/user`, { headers: { Authorization: `Bearer ${token}` } })
  await response.arrayBuffer()
  return response.status
}

async function publishedKids(server) {
  const response = await fetch(server.jwks)
  assert.equal(response.headers.get('Cache-Control'), 'public, max-age=300')
  const { keys } = await response.json()
  for (const key of keys) {
    assert.ok(!('d' in key), 'a private member is published')
  }
  return keys.map((key) => key.kid)
}

// verifier is a service that knows a server by the address of its public keys only. It counts how often it reads them.
function verifier(server, algorithm, options = {}) {
  const keys = createRemoteJWKSet(server.jwks, {
    ...options,
    [customFetch]: (...request) => ((it.reads += 1), fetch(...request)),
  })
  const demands = { issuer: 'conduit', audience: 'conduit', typ: 'at+jwt', algorithms: [algorithm] }
  const it = {
    reads: 0,
    reload: () => keys.reload(),
    accepts: async (token) => {
      const { payload, protectedHeader } = await jwtVerify(token, keys, demands)
      assert.equal(protectedHeader.kid, kidOf(token))
      assert.ok(payload.sub && payload.sid && payload.jti)
    },
    refuses: (token, code) => assert.rejects(jwtVerify(token, keys, demands), { code }),
  }
  return it
}

// tampered is the token with another first letter in its signature.
const tampered = (token) =>
  token.replace(/\.([^.])([^.]*)$/, (_, letter, rest) => `.${letter === 'A' ? 'B' : 'A'}${rest}`)

describe('jose verifies tokens from the published keys', { concurrency: true }, () => {
  for (const algorithm of ['EdDSA', 'ES256']) {
    test(`${algorithm}: before, during and after a rotation, and after a revocation`, async (t) => {
      const folder = await mkdtemp(path.join(tmpdir(), 'conduit-jose-'))
      t.after(() => rm(folder, { recursive: true, force: true }))
      const keys = async (...args) =>
        (await promisify(execFile)(binary, ['keys', ...args], { cwd: folder, env })).stdout
      const one = await start(folder, algorithm)
      t.after(() => one.stop())
      const two = await start(folder, algorithm) // on the same database
      t.after(() => two.stop())

      const first = await register(one)
      // Reads the keys now, and again whenever it meets a kid that it does not know.
      const early = verifier(two, algorithm, { cooldownDuration: 0 })
      let next

      await t.test('before', async () => {
        assert.deepEqual(await publishedKids(two), [kidOf(first)])
        await early.accepts(first)
        await early.refuses(tampered(first), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED')
        assert.equal(early.reads, 1)
      })

      // Reads the keys once, while the next one waits.
      const patient = verifier(two, algorithm)

      await t.test('during: the next key is published and does not sign', async () => {
        assert.match(await keys('rotate'), /is published and signs from/)
        for (const server of [one, two]) {
          await poll('the next key is published', async () => (await publishedKids(server)).length === 2)
        }
        next = (await publishedKids(one)).find((kid) => kid !== kidOf(first))
        for (const server of [one, two]) {
          const token = await login(server)
          assert.equal(kidOf(token), kidOf(first))
          await early.accepts(token)
          await patient.accepts(token)
        }
        await patient.accepts(first)
        assert.equal(patient.reads, 1)
      })

      let second
      await t.test('after: the next key signs, the one before it verifies', async () => {
        assert.match(await keys('rotate', '--now'), /signs from now on\nwarning: /)
        await poll('the next key signs', async () => kidOf((second = await login(one))) === next)
        for (const token of [first, second]) {
          await patient.accepts(token)
          await early.accepts(token)
          assert.equal(await statusOf(one, token), 200)
          assert.equal(await statusOf(two, token), 200)
        }
        await patient.refuses(tampered(second), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED')
        assert.equal(patient.reads, 1, 'what was published in time needs no second look')
        assert.equal(early.reads, 2, 'one look for the kid that was not known')
      })

      await t.test('revoked: the tokens of the key are refused, those of the others are not', async () => {
        assert.match(await keys('revoke', '--', next), /is revoked/)
        for (const server of [one, two]) {
          await poll('the key is no longer published', async () => !(await publishedKids(server)).includes(next))
          assert.equal(await statusOf(server, second), 401)
          assert.equal(await statusOf(server, first), 200)
        }
        await patient.reload()
        for (const server of [one, two]) {
          const third = await login(server)
          assert.ok(![kidOf(first), next].includes(kidOf(third)))
          for (const service of [patient, verifier(one, algorithm), verifier(two, algorithm)]) {
            await service.refuses(second, 'ERR_JWKS_NO_MATCHING_KEY')
            await service.accepts(first)
            await service.accepts(third)
          }
          assert.equal(await statusOf(one, third), 200)
          assert.equal(await statusOf(two, third), 200)
        }
        const table = await keys('list')
        assert.match(table, new RegExp(`${next} +${algorithm} +revoked`))
        assert.match(table, new RegExp(`${kidOf(first)} +${algorithm} +retired`))
      })
    })
  }
})
