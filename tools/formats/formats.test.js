// The contract in OpenAPI 3.1 and 3.2, as a running server has it. Programs that are not ours find it valid, make the
// same of it as of 3.0, and hold its examples and the server's answers to it by JSON Schema 2020-12.
//
//   CONDUIT=path/to/conduit node --test
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

import { validate as validate31 } from '@hyperjump/json-schema/openapi-3-1'
import { validate as validate32 } from '@hyperjump/json-schema/openapi-3-2'
import { upgrade } from '@scalar/openapi-upgrader'
import { createParser } from 'eventsource-parser'
import openapiTS, { astToString } from 'openapi-typescript'

import { serve } from '../conduit.mjs'
import { operations, schemasOf, withoutReference } from './document.js'

const here = import.meta.dirname
const person = { username: 'jake', email: 'jake@example.com', password: 'jakes long secret' }

let scratch, server, original
const served = {}
const copyOf = (version) => structuredClone(served[version])

before(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'conduit-formats-'))
  server = await serve({ cwd: scratch })
  const read = async (name) => (await fetch(`${server.origin}/${name}`)).json()
  original = await read('openapi.json')
  for (const version of ['3.1', '3.2']) served[version] = await read(`openapi-${version}.json`)
})
after(async () => {
  await server?.stop()
  await rm(scratch, { recursive: true })
})

// lint returns what Redocly's strict rules say of a document; undefined if nothing. Before 3.2 no word of OpenAPI leads
// to the schema of an event, so there the rule about what nothing leads to stays out.
async function lint(document) {
  const file = path.join(scratch, 'linted.json')
  await writeFile(file, JSON.stringify(document))
  const redocly = path.join(here, 'node_modules/@redocly/cli/bin/cli.js')
  const skipped = document.openapi.startsWith('3.1') ? ['--skip-rule', 'no-unused-components'] : []
  const config = ['--config', path.join(here, 'redocly.yaml')]
  const args = [redocly, 'lint', ...config, ...skipped, '--format', 'stylish', file]
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 24 })
    return /\b(warning|error)s?\b/.test(stdout) ? stdout + stderr : undefined
  } catch (error) {
    return error.stdout + error.stderr
  }
}

// inOneWay returns a document with all that may be written in two ways in one of them.
function inOneWay(document) {
  delete document.openapi
  delete document.jsonSchemaDialect
  const walk = (node) => {
    if (node === null || typeof node !== 'object') return node
    if (!Array.isArray(node) && node.schema && 'example' in node) {
      const { example, ...rest } = node
      node = { ...rest, examples: { default: { value: example } } }
    }
    if (Array.isArray(node)) return node.map((element) => walk(element))
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, walk(value)]))
  }
  return walk(document)
}

// streams are the media types whose events 3.2 describes one by one.
const streams = (document) =>
  Object.values(operations(document)).flatMap(({ responses }) =>
    Object.values(responses).flatMap(
      (response) => withoutReference(document, response).content?.['text/event-stream'] ?? [],
    ),
  )

for (const [version, validate] of [
  ['3.1', validate31],
  ['3.2', validate32],
]) {
  describe(`OpenAPI ${version}`, () => {
    test('calls itself so', () => {
      assert.match(served[version].openapi, new RegExp(`^${version.replace('.', '\\.')}\\.\\d+$`))
      assert.deepEqual(served[version].info, original.info)
    })

    test('has no error and no warning by the strict rules of Redocly', { timeout: 120_000 }, async () => {
      assert.equal(await lint(served[version]), undefined)
    })

    test('is what its schema of JSON Schema 2020-12 says', async () => {
      const schema = `https://spec.openapis.org/oas/${version}/schema-base`
      const { valid, errors } = await validate(schema, served[version], 'BASIC')
      assert.ok(valid, JSON.stringify(errors, null, 1))
      for (const spoil of [
        (document) => (document.components.schemas.Errors.type = 'nothing'),
        (document) => (document.paths['/user'].get.responses['200'].content['application/json'].schema = 5),
        (document) => delete document.info.title,
      ]) {
        const spoiled = copyOf(version)
        spoil(spoiled)
        assert.ok(!(await validate(schema, spoiled)).valid, `${spoil} is not found`)
      }
    })

    test('says what the upgrader of Scalar makes of 3.0', () => {
      const [theirs, ours] = [upgrade(structuredClone(original), version), copyOf(version)].map(inOneWay)
      for (const media of [...streams(theirs), ...streams(ours)]) {
        for (const name of Object.keys(media)) delete media[name] // compared below
      }
      assert.deepEqual(ours, theirs)
    })

    test('has schemas that a strict validator compiles, and examples that they allow', () => {
      const schemas = schemasOf(served[version])
      for (const name of Object.keys(served[version].components.schemas)) {
        assert.notDeepEqual(schemas.faults(`/components/schemas/${name}`, undefined), [], name)
      }
      let examples = 0
      for (const { pointer, schema, value } of schemas.examples()) {
        examples++
        assert.deepEqual(schemas.faults(schema, value), [], `the example at ${pointer}`)
      }
      assert.ok(examples > 500, `only ${examples} examples`)
    })

    test('takes and refuses null where 3.0 does', () => {
      const schemas = schemasOf(served[version])
      let nullable = 0
      for (const [name, { properties = {} }] of Object.entries(original.components.schemas)) {
        for (const [member, schema] of Object.entries(properties)) {
          const takesNull = schemas.faults(`/components/schemas/${name}/properties/${member}`, null).length === 0
          assert.equal(takesNull, schema.nullable ?? false, `${name}.${member}`)
          nullable += takesNull
        }
      }
      assert.ok(nullable > 10, `only ${nullable} may be null`)
    })

    test('is what the server answers', async () => {
      const schemas = schemasOf(served[version])
      const call = async (method, route, { parameters = {}, query = '', body, token } = {}) => {
        const url = server.api + route.replace(/{(\w+)}/g, (_, name) => parameters[name]) + query
        const response = await fetch(url, {
          method,
          headers: {
            ...(body && { 'Content-Type': 'application/json' }),
            ...(token && { Authorization: `Bearer ${token}` }),
          },
          body: body && JSON.stringify(body),
        })
        const answer = response.status === 204 ? undefined : await response.json()
        const { responses } = served[version].paths[route][method.toLowerCase()]
        const { content } = withoutReference(served[version], responses[response.status])
        assert.equal(content === undefined, answer === undefined, `${method} ${route} ${response.status}`)
        if (content) {
          const faults = schemas.faults(content['application/json'].schema, answer)
          assert.deepEqual(faults, [], `${method} ${route} ${response.status}: ${JSON.stringify(answer)}`)
        }
        return { status: response.status, answer }
      }
      const somebody = { ...person, username: `jake-${version.replace('.', '')}`, email: `jake${version}@example.com` }
      const { answer } = await call('POST', '/users', { body: { user: somebody } })
      const { token } = answer.user
      const article = { title: `About ${version}`, description: 'd', body: 'b', tagList: ['a'] }
      const made = await call('POST', '/articles', { token, body: { article } })
      const parameters = { slug: made.answer.article.slug, username: 'johndoe' }
      const statuses = [made.status]
      for (const [method, route, options] of [
        ['GET', '/user', { token }],
        ['GET', '/user', {}],
        ['PUT', '/user', { token, body: { user: { bio: null, image: null } } }],
        ['PUT', '/user', { token, body: { user: { bio: 5 } } }],
        ['GET', '/user/sessions', { token }],
        ['GET', '/user/factors', { token }],
        ['GET', '/user/passkeys', { token }],
        ['GET', '/user/export', { token }],
        ['GET', '/articles', { query: '?limit=3' }],
        ['GET', '/articles', { query: '?limit=many' }],
        ['GET', '/articles/feed', { token }],
        ['GET', '/articles/{slug}', { parameters }],
        ['GET', '/articles/{slug}', { parameters: { slug: 'nothing' } }],
        ['POST', '/articles/{slug}/comments', { token, parameters, body: { comment: { body: 'c' } } }],
        ['GET', '/articles/{slug}/comments', { parameters }],
        ['GET', '/profiles/{username}', { parameters }],
        ['POST', '/profiles/{username}/follow', { token, parameters }],
        ['POST', '/articles', { token, body: { article: {} } }],
        ['GET', '/tags', {}],
        ['GET', '/admin/users', { token }],
        ['GET', '/.well-known/jwks.json', {}],
        ['DELETE', '/articles/{slug}', { token, parameters }],
        ['POST', '/users/logout', { token }],
      ]) {
        statuses.push((await call(method, route, options)).status)
      }
      assert.deepEqual([...new Set(statuses)].sort(), [200, 201, 204, 401, 403, 404, 422])
    })
  })
}

test('OpenAPI 3.2 says what each event of a stream is', () => {
  const media = streams(served['3.2'])
  assert.deepEqual(media.map(Object.keys), [['itemSchema', 'examples']])
  const [{ itemSchema, examples }] = media
  const schemas = schemasOf(served['3.2'])
  const { contentSchema } = itemSchema.properties.data
  const events = []
  const parser = createParser({ onEvent: (event) => events.push(event) })
  for (const { serializedValue } of Object.values(examples)) parser.feed(`${serializedValue}\n`)
  assert.ok(events.length > 0)
  for (const event of events) {
    assert.deepEqual(schemas.faults(itemSchema, event), [])
    assert.deepEqual(schemas.faults(contentSchema, JSON.parse(event.data)), [])
    assert.equal(JSON.parse(event.data).type, event.event)
    assert.notDeepEqual(schemas.faults(itemSchema, { ...event, data: 5 }), [])
    assert.notDeepEqual(schemas.faults(contentSchema, { ...JSON.parse(event.data), at: 5 }), [])
  }
})

test('OpenAPI 3.1 gives the types that 3.0 gives', async () => {
  const [before, after] = await Promise.all(
    [original, served['3.1']].map((document) => openapiTS(structuredClone(document))),
  )
  const [types30, types31] = [before, after].map((ast) => astToString(ast))
  assert.ok(types30.length > 100_000)
  assert.equal(types31, types30)
})

test('Redocly finds what is wrong in either', { timeout: 120_000 }, async () => {
  for (const [version, spoil] of [
    ['3.1', (document) => (document.components.schemas.Errors.nullable = true)], // a word of 3.0
    ['3.2', (document) => (document.tags[0].kind = 5)], // a word that 3.2 brought
  ]) {
    const spoiled = copyOf(version)
    spoil(spoiled)
    assert.match((await lint(spoiled)) ?? '', /1:\d+ +error +struct/)
  }
})
