// Shows that the checks of the contract can fail: each of them refuses a contract that is spoiled in its own way, in a copy of
// what they need.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const here = import.meta.dirname
const root = path.join(here, '../..')
const contract = await readFile(path.join(root, 'openapi.yaml'), 'utf8')
const worlds = await readFile(path.join(root, 'contract/worlds.yaml'), 'utf8')

// copy has the contract and its checks. The contract as it is was released as 1.0.0.
let copy
const released = []

// release keeps a contract as that of a release.
async function release(version, text) {
  const folder = path.join(copy, 'contract/released')
  const list = () => writeFile(path.join(folder, 'releases.json'), JSON.stringify(released, null, 2))
  await mkdir(path.join(folder, version), { recursive: true })
  await writeFile(path.join(folder, version, 'openapi.yaml'), text)
  released.push({ version, date: '2026-01-02' })
  await list()
  return { takenBack: () => (released.pop(), list()) }
}

before(async () => {
  copy = await mkdtemp(path.join(tmpdir(), 'conduit-gates-'))
  await mkdir(path.join(copy, 'tools/contract'), { recursive: true })
  for (const file of ['package.json', 'redocly.yaml', 'spectral.yaml', 'breaking.sh'].map(
    (name) => `tools/contract/${name}`,
  )) {
    await cp(path.join(root, file), path.join(copy, file))
  }
  for (const file of ['go.mod', 'go.sum', 'tools/go.mod', 'tools/go.sum']) {
    await cp(path.join(root, file), path.join(copy, file))
  }
  await writeFile(path.join(copy, 'tools/contract/accepted-breaks.txt'), '')
  await symlink(path.join(here, 'node_modules'), path.join(copy, 'tools/contract/node_modules'))
  await release('1.0.0', contract)
  await writeFile(path.join(copy, 'contract/worlds.yaml'), worlds)
})
after(() => rm(copy, { recursive: true, force: true }))

// check runs a check on the contract with every from in it replaced, and gives what it said if it failed, else nothing.
async function check(command, from, to) {
  const spoiled = contract.replaceAll(from, to)
  assert.ok(from === to || spoiled !== contract, `the contract has no ${from}`)
  await writeFile(path.join(copy, 'openapi.yaml'), spoiled)
  try {
    await run(command[0], command.slice(1), { cwd: path.join(copy, 'tools/contract') })
    return ''
  } catch (fault) {
    return fault.stdout + fault.stderr
  }
}

const lint = ['npm', 'run', 'lint']
const breaking = ['./breaking.sh']

describe('the checks of the contract', () => {
  test('take the contract as it is', async () => {
    assert.equal(await check(lint, '', ''), '')
    assert.equal(await check(breaking, '', ''), '')
  })

  for (const [what, from, to, rule] of [
    ['Redocly: a warning of the strict rules', '      summary: Log in\n', '', 'operation-summary'],
    ['Redocly: a broken reference', 'schemas/TagList" }', 'schemas/TagLists" }', 'no-unresolved-refs'],
    [
      'Redocly: an example that breaks its schema',
      'example: { tags: [dragons, training] }',
      'example: { tags: [1] }',
      'invalid-media-type-examples',
    ],
    ['Spectral: a warning', '  contact:\n    name: The Conduit authors\n', '', 'info-contact'],
    [
      'Spectral: something deprecated without a date',
      '      operationId: getTags\n',
      '      operationId: getTags\n      deprecated: true\n',
      'deprecated-since',
    ],
    ['OWASP: an operation that anybody may call', 'security: [{ bearerAuth: [] }]', 'security: []', 'write-restricted'],
    ['OWASP: a list without a bound', '          maxItems: 500\n', '', 'array-limit'],
  ]) {
    test(what, async () => {
      assert.match(await check(lint, from, to), new RegExp(rule))
    })
  }

  test('Redocly and OWASP: the contract of worlds too', async () => {
    const file = path.join(copy, 'contract/worlds.yaml')
    for (const [from, to, rule] of [
      ['      summary: Make a world\n', '', 'operation-summary'],
      ['          maxItems: 1024\n', '', 'array-limit'],
    ]) {
      await writeFile(file, worlds.replace(from, to))
      assert.match(await check(lint, '', ''), new RegExp(rule))
    }
    await writeFile(file, worlds)
  })

  for (const [what, from, to, rule] of [
    ['a member that answers lack', 'required: [tags]\n', 'required: []\n', 'response-property-became-optional'],
    ['an operation that is gone', '  /tags:\n', '  /labels:\n', 'api-(path-)?removed'],
    ['a limit that is tighter', 'maxLength: 500000', 'maxLength: 400000', 'request-property-max-length-decreased'],
  ]) {
    test(`oasdiff: ${what}`, async () => assert.match(await check(breaking, from, to), new RegExp(rule)))
  }

  test('oasdiff: a break that is meant is accepted', async () => {
    const accepted = path.join(copy, 'tools/contract/accepted-breaks.txt')
    await writeFile(accepted, 'GET /tags api path removed without deprecation\n')
    assert.equal(await check(breaking, '  /tags:\n', '  /labels:\n'), '')
    await writeFile(accepted, '')
  })

  test('oasdiff: in the commit of a release, the release before it counts', async () => {
    const broken = contract.replaceAll('  /tags:\n', '  /labels:\n')
    const kept = await release('2.0.0', broken)
    assert.match(await check(breaking, '  /tags:\n', '  /labels:\n'), /removed/)
    assert.match(await check(breaking, '', ''), /removed/) // what the last release has is gone
    await kept.takenBack()
  })
})
