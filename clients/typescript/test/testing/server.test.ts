import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { connectServer, createWorld, shareServer, startServer, TestServerError } from '@conduit/client/testing'
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest'

import { startServer as startPlainServer } from '../server.js'

let folder: string
beforeAll(async () => void (folder = await mkdtemp(path.join(tmpdir(), 'conduit-kit-'))))
afterAll(() => rm(folder, { recursive: true }))

async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.catch((error: unknown) => error)
  expect(error).toBeInstanceOf(TestServerError)
  return (error as TestServerError).message
}

test('it starts on a free port, takes no settings of the environment, and stops', async () => {
  vi.stubEnv('CONDUIT_LISTEN', '127.0.0.1:1')
  vi.stubEnv('CONDUIT_DEMO', 'no such value')
  const files = await readdir('.')
  const server = await startServer()
  vi.unstubAllEnvs()
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  expect(await (await fetch(`${server.url}/worlds`)).json()).toEqual({ worlds: [] })
  expect(server.log()).toContain(server.url)
  await server.stop()
  await server.stop()
  await expect(fetch(`${server.url}/worlds`)).rejects.toThrow(TypeError)
  expect(await readdir('.')).toEqual(files)
})

test('there is no program: the error says how to name one', async () => {
  expect(await refusal(startServer({ binary: '/no/such/conduit' }))).toMatch(
    /^There is no program \/no\/such\/conduit\..*CONDUIT_BINARY/,
  )
  vi.stubEnv('CONDUIT_BINARY', undefined)
  vi.stubEnv('PATH', folder)
  expect(await refusal(startServer())).toMatch(/^There is no program "conduit" in PATH\..*CONDUIT_BINARY/)
  vi.unstubAllEnvs()
})

test('the program comes from PATH, where nothing names another one', async () => {
  const program = process.env.CONDUIT_BINARY!
  await writeFile(path.join(folder, 'conduit'), `#!/bin/sh\nexec ${program} "$@"\n`, { mode: 0o755 })
  vi.stubEnv('CONDUIT_BINARY', undefined)
  vi.stubEnv('PATH', `${folder}${path.delimiter}${process.env.PATH}`)
  await using server = await startServer()
  expect(server.url).toMatch(/^http/)
  vi.unstubAllEnvs()
  await rm(path.join(folder, 'conduit'))
})

test('the port is taken: the error says which', async () => {
  const taken = createServer()
  const port = await new Promise<number>((resolve) =>
    taken.listen(0, '127.0.0.1', () => resolve((taken.address() as AddressInfo).port)),
  )
  expect(await refusal(startServer({ port }))).toContain(`Port ${port} on 127.0.0.1 is taken.`)
  taken.close()
})

test('the program is of before there were worlds, or ends at once: the error says so', async () => {
  const old = path.join(folder, 'old')
  await writeFile(old, '#!/bin/sh\necho "conduit: unknown flag: --worlds" >&2\nexit 2\n', { mode: 0o755 })
  expect(await refusal(startServer({ binary: old }))).toContain(`${old} knows no worlds`)
  expect(await refusal(startServer({ args: ['--no-such-flag'] }))).toMatch(/did not start\. It said: .*no-such-flag/)
})

test('the program says nothing: the wait has an end', async () => {
  const silent = path.join(folder, 'silent')
  await writeFile(silent, '#!/bin/sh\nexec sleep 600\n', { mode: 0o755 })
  expect(await refusal(startServer({ binary: silent, timeout: 100 }))).toContain('did not start. It said: nothing')
})

test('a server that runs already', async () => {
  await using server = await connectServer(`${inject('conduitWorldsUrl')}/`)
  await using world = await createWorld({}, server)
  expect(world.baseUrl).toBe(`${inject('conduitWorldsUrl')}/worlds/${world.id}/api`)
  await server.stop()
  expect(await world.state()).toMatchObject({ id: world.id }) // it is not ours to stop
})

test('a server that is not there, and one without worlds: the errors say so', async () => {
  expect(await refusal(connectServer('http://127.0.0.1:1'))).toBe('No server answers at http://127.0.0.1:1.')
  const plain = await startPlainServer()
  expect(await refusal(connectServer(plain.origin))).toMatch(/answers 404 to GET \/worlds\. .*conduit serve --worlds/)
  await plain.stop()
})

test('a shared server is known to all by a variable', async () => {
  vi.stubEnv('CONDUIT_WORLDS_URL', undefined)
  await expect(createWorld()).rejects.toThrow('createWorld was told of no server')
  const server = await shareServer()
  expect(process.env.CONDUIT_WORLDS_URL).toBe(server.url)
  expect((await createWorld()).baseUrl).toContain(server.url)
  await using same = await shareServer()
  expect(same.url).toBe(server.url)
  await same.stop()
  expect((await createWorld()).baseUrl).toContain(server.url)
  await server.stop()
  expect(process.env.CONDUIT_WORLDS_URL).toBeUndefined()
  vi.unstubAllEnvs()
})
