// Clients of every released contract, made and compiled anew, go through a server of today: nobody has to change a client
// because the server was upgraded. What is in a folder of a version here was written when that was released.
//
//   CONDUIT=path/to/conduit node --test
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { binary, serve } from '../conduit.mjs'

const here = import.meta.dirname
const root = path.join(here, '../..')
const released = path.join(root, 'contract/released')

// next is the contract as it is now, for which the next release will keep a journey.
const next = 'next'
const releases = JSON.parse(await readFile(path.join(released, 'releases.json'), 'utf8'))
const versions = releases.map(({ version }) => version)
const contractOf = (version) =>
  version === next ? path.join(root, 'openapi.yaml') : path.join(released, version, 'openapi.yaml')

// run fails with what a command said.
function run(command, args, options) {
  return new Promise((resolve, reject) =>
    execFile(command, args, { maxBuffer: 16 << 20, ...options }, (error, stdout, stderr) =>
      error ? reject(new Error(`${command} ${args.join(' ')}:\n${stdout}${stderr}`)) : resolve(stdout),
    ),
  )
}

const installed = (tool) => path.join(here, 'node_modules/.bin', tool)
const generator = ['tool', `-modfile=${path.join(root, 'tools/go.mod')}`, 'oapi-codegen']

test('each release has its contract and its journeys', async () => {
  const folders = async (place) =>
    (await readdir(place, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory() && /^\d/.test(entry.name))
      .map(({ name }) => name)
      .sort()
  assert.deepEqual(await folders(released), versions.toSorted())
  assert.deepEqual(await folders(here), versions.toSorted())
  for (const version of versions) {
    const [, said] = /^ {2}version: (\S+)/m.exec(await readFile(contractOf(version), 'utf8'))
    assert.equal(said, version)
  }
})

// Clients were generated from what was released, whatever anybody would like it to have said. The Makefile says when
// there is no history that could tell.
if (!process.env.NO_HISTORY)
  test('no released contract was ever edited', async () => {
    const withoutVersion = (text) => text.replace(/^( {2}version: )\d+\.\d+\.\d+/m, '$1')
    for (const { version, commit } of releases) {
      const kept = path.relative(root, contractOf(version))
      const added = ['log', '-1', '--diff-filter=A', '--format=%H', '--', kept]
      // In the commit of a release, and before it, nothing has been added yet.
      const from = commit ?? (await run('git', added, { cwd: root })).trim()
      if (!from) continue
      const then = await run('git', ['show', `${from}:${commit ? 'openapi.yaml' : kept}`], { cwd: root })
      assert.equal(withoutVersion(await readFile(contractOf(version), 'utf8')), withoutVersion(then), version)
    }
  })

describe('clients for TypeScript', () => {
  const all = [...versions, next]
  before(async () => {
    await Promise.all(
      all.map((version) =>
        run(installed('openapi-typescript'), [contractOf(version), '--output', path.join(here, version, 'schema.ts')]),
      ),
    )
    await run(installed('tsc'), ['--project', '.'], { cwd: here })
  })
  for (const version of all) {
    test(`that of ${version} works with a server of today`, async (t) => {
      const server = process.env.CONDUIT_API
        ? { api: process.env.CONDUIT_API }
        : await serve({ args: ['--database=sqlite::memory:', '--issuer=https://conduit.example.com'] })
      const { journeys } = await import(pathToFileURL(path.join(here, 'compiled', version, 'journey.js')))
      for (const [name, journey] of Object.entries(journeys)) await t.test(name, () => journey(server.api))
      await server.stop?.() // which fails if an answer broke today's contract
    })
  }
})

describe('clients for Go', () => {
  before(async () => {
    const settings = path.join(here, next, 'api')
    await mkdir(settings, { recursive: true })
    for (const file of ['oapi-codegen.yaml', 'overlay.yaml', 'timestamp.go'])
      await copyFile(path.join(root, 'api', file), path.join(settings, file))
    for (const version of [...versions, next]) {
      // Where `go tool` runs is the folder of the version, from which its settings name their files.
      const args = [...generator, '-config', 'api/oapi-codegen.yaml', contractOf(version)]
      await run('go', args, { cwd: path.join(here, version) })
    }
    await run('go', ['vet', './...'], { cwd: here })
  })
  for (const version of [...versions, next]) {
    test(`that of ${version} works with a server of today`, () =>
      run('go', ['test', '-count=1', `./${version}`], { cwd: here, env: { ...process.env, CONDUIT: binary } }))
  }
})
