// The Bruno collection of the contract, run by Bruno's own command against the program. Each operation is called once
// and answers what the collection expects, and each answer is what the contract in OpenAPI 3.1 says.
//
//   CONDUIT=path/to/conduit node --test
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'

import lang from '@usebruno/lang'

import { binary, env, serve } from '../conduit.mjs'
import { operations, schemasOf, withoutReference } from '../formats/document.js'

const committed = path.resolve(import.meta.dirname, '../../clients/bruno')
const password = 'correct horse battery'

let scratch, server, contract, client
before(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'conduit-collection-'))
  server = await serve({ cwd: scratch })
  contract = await (await fetch(`${server.origin}/openapi-3.1.json`)).json()
  await server.stop()
  await run(binary, ['users', 'create', 'ada', 'ada@example.com'], { input: `${password}\n` })
  await run(binary, ['users', 'set-role', 'ada', 'admin'])
  const { stdout } = await run(binary, ['clients', 'add', 'reports'])
  client = { id: /^ID +(\S+)/m.exec(stdout)?.[1], secret: /^Secret +(\S+)/m.exec(stdout)?.[1] }
  assert.ok(client.id && client.secret, stdout)
})
after(() => rm(scratch, { recursive: true }))

// run runs a program and returns how it ended.
function run(program, args, { cwd = scratch, input = '' } = {}) {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      error && typeof error.code !== 'number' ? reject(error) : resolve({ code: error?.code ?? 0, stdout, stderr }),
    )
    child.stdin.end(input)
  })
}

// bruno runs a collection and returns what came of it.
async function bruno(folder) {
  const report = path.join(scratch, 'report.json')
  const command = path.join(import.meta.dirname, 'node_modules/@usebruno/cli/bin/bru.js')
  const variables = {
    baseUrl: server.api,
    adminPassword: password,
    clientId: client.id,
    clientSecret: client.secret,
  }
  const given = Object.entries(variables).flatMap(([name, value]) => ['--env-var', `${name}=${value}`])
  const args = [command, 'run', '-r', '--env', 'local', ...given, '--reporter-json', report]
  const { code, stdout, stderr } = await run(process.execPath, args, { cwd: folder })
  const text = await readFile(report, 'utf8').catch(() => '[{"results":[]}]')
  await rm(report, { force: true })
  const results = JSON.parse(text)[0].results.map((result) => ({
    ...result,
    operation: path.basename(result.test.filename, '.bru'),
    failures: [
      ...(result.error ? [String(result.error)] : []),
      ...[...result.assertionResults, ...result.testResults, ...(result.postResponseTestResults ?? [])]
        .filter(({ status }) => status !== 'pass')
        .map(({ lhsExpr, rhsExpr, error }) => `${lhsExpr} ${rhsExpr}: ${error}`),
    ],
  }))
  return { code, output: stdout + stderr, results }
}

// What depends on whether a server knows its URL, and the status that it has then.
const ofIssuers = ['getStatusList', 'getServerMetadata']

for (const [name, args, status] of [
  ['that knows its URL', ['--issuer=https://conduit.example.com'], 200],
  ['as it starts by default', [], 404],
]) {
  test(`a run against a server ${name} calls each operation once, and gets what it expects`, async () => {
    server = await serve({ cwd: scratch, args })
    try {
      const { code, output, results } = await bruno(committed)
      const failed = results.filter(({ failures }) => failures.length > 0)
      assert.deepEqual(
        failed.map(({ operation, failures, response }) => [operation, response.status, failures, response.data]),
        [],
      )
      assert.equal(code, 0, output)
      const called = results.map(({ operation }) => operation)
      assert.deepEqual([...called].sort(), Object.keys(operations(contract)).sort())
      const schemas = schemasOf(contract)
      for (const { operation, response } of results) {
        const { content } = withoutReference(contract, operations(contract)[operation].responses[response.status])
        const media = content?.['application/json']
        if (media) {
          assert.deepEqual(schemas.faults(media.schema, response.data), [], `${operation} ${response.status}`)
        }
        if (ofIssuers.includes(operation)) assert.equal(response.status, status, operation)
      }
    } finally {
      await server.stop()
    }
  })
}

test('a run fails where the server answers something else', async () => {
  const folder = path.join(scratch, 'spoiled')
  await cp(committed, folder, { recursive: true })
  const file = path.join(folder, 'Users/createUser.bru')
  const text = await readFile(file, 'utf8')
  await writeFile(
    file,
    text.replace('eq 201', 'eq 200').replace(/bru\.runner\.setNextRequest.*/, 'bru.runner.stopExecution();'),
  )
  server = await serve({ cwd: scratch })
  const { code, results } = await bruno(folder).finally(() => server.stop())
  assert.notEqual(code, 0)
  assert.deepEqual(
    results.map(({ operation, failures }) => [operation, failures.length]),
    [['createUser', 1]],
  )
})

test('each file is one that Bruno would write again in the same way', async () => {
  const files = (await readdir(committed, { recursive: true })).filter((name) => /^[A-Z].*\/[a-z]\w+\.bru$/.test(name))
  const requests = files.filter((name) => !name.endsWith('/folder.bru'))
  assert.equal(requests.length, Object.keys(operations(contract)).length)
  for (const name of requests) {
    const text = await readFile(path.join(committed, name), 'utf8')
    const { http, meta } = lang.bruToJsonV2(text)
    const operation = operations(contract)[path.basename(name, '.bru')]
    assert.equal(meta.name, operation.summary)
    assert.equal(http.method, operation.method)
    assert.equal(path.dirname(name), operation.tags[0])
  }
})
