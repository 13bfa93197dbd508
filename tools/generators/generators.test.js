// Clients of the contract, as front-end teams generate them: each generator makes one, strict TypeScript compiles it together with
// a hand-written use of it (usage/), and that use is run against a server.
//
//   CONDUIT=path/to/conduit CONTRACT=path/to/openapi.yaml node --test
//
// .npmrc lets no dependency run a script at installation: one reports who installs it, and esbuild works without.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { build } from 'esbuild'
import { setupServer } from 'msw/node'

import { serve } from '../conduit.mjs'

const here = import.meta.dirname
const contract = path.resolve(process.env.CONTRACT ?? '../../openapi.yaml')

// mostPrinted is how large a client may be that is printed: openapi-client-axios-typegen writes an array with maxItems
// as a tuple of as many members, so that an editor stops at large ones.
const mostPrinted = 2 << 20

// Commands run in the folder that is to hold the client, so relative outputs end up there. A config is written beside them first, for
// generators that take one; it is JSON because that is the form which both of them read.
const orval = (name, output) => ({ input: contract, output: { target: `${name}.ts`, client: name, ...output } })
const sender = { override: { mutator: { path: '../../usage/orval-fetch.ts', name: 'send' } } }
const generators = [
  {
    name: 'openapi-typescript',
    command: ['openapi-typescript', contract, '--output', 'schema.ts'],
  },
  {
    name: 'hey-api',
    command: ['openapi-ts', '--input', contract, '--output', '.', '--client', '@hey-api/client-fetch', '--no-log-file'],
    // The client that it copies beside the types hands undefined on as an optional member in a dozen places.
    compilerOptions: { exactOptionalPropertyTypes: false },
  },
  {
    name: 'hey-api-zod',
    command: ['openapi-ts', '--file', 'config.json', '--no-log-file'],
    config: {
      input: contract,
      output: { path: '.', clean: false },
      plugins: [
        '@hey-api/client-fetch',
        { name: '@hey-api/transformers', dates: true },
        'zod',
        { name: '@hey-api/sdk', transformer: true, validator: true },
      ],
    },
    compilerOptions: { exactOptionalPropertyTypes: false },
  },
  {
    name: 'orval',
    command: ['orval', '--config', 'config.json'],
    // Its mocks give an optional member as one that may be undefined.
    compilerOptions: { exactOptionalPropertyTypes: false },
    config: {
      fetch: orval('fetch', { ...sender, mock: { type: 'msw', delay: false } }),
      'react-query': orval('react-query', { httpClient: 'fetch', ...sender }),
      zod: orval('zod'),
    },
  },
  {
    name: 'swagger-typescript-api',
    command: ['swagger-typescript-api', 'generate', '--path', contract, '--output', '.', '--name', 'api.ts'],
  },
  {
    name: 'openapi-zod-client',
    command: ['openapi-zod-client', contract, '--output', 'api.ts', '--export-schemas'],
  },
  {
    name: 'typed-openapi',
    command: ['typed-openapi', contract, '--output', 'api.ts', '--tanstack', 'tanstack.ts'],
  },
  {
    name: 'kubb',
    command: ['kubb', 'generate', '--config', 'config.js', '--logLevel', 'silent'],
    config: `
      import { defineConfig } from '@kubb/core'
      import { pluginClient } from '@kubb/plugin-client'
      import { pluginFaker } from '@kubb/plugin-faker'
      import { pluginMsw } from '@kubb/plugin-msw'
      import { pluginOas } from '@kubb/plugin-oas'
      import { pluginTs } from '@kubb/plugin-ts'

      export default defineConfig({
        root: '.',
        input: { path: ${JSON.stringify(contract)} },
        output: { path: '.', clean: false, barrelType: 'named', format: false, lint: false },
        plugins: [
          pluginOas({ generators: [] }),
          pluginTs({}),
          pluginClient({ client: 'fetch', bundle: true }),
          pluginFaker({ transformers: { name: (name) => name.replace(/^create/, 'mock') } }), // createArticle is a call
          pluginMsw({ parser: 'faker', handlers: true, baseURL: '*' }),
        ],
      })`,
    // The client that it copies beside the calls hands undefined on to fetch.
    compilerOptions: { exactOptionalPropertyTypes: false },
  },
  {
    name: 'oazapfts',
    command: ['oazapfts', contract, 'api.ts'],
    // It hands undefined on to fetch, inside functions that are written out.
    compilerOptions: { exactOptionalPropertyTypes: false },
  },
  {
    name: 'openapi-client-axios',
    command: ['typegen', contract],
    printed: 'client.d.ts',
  },
  {
    name: 'ng-openapi-gen',
    command: ['ng-openapi-gen', '--input', contract, '--output', '.', '--silent', 'true'],
    // As in every project of Angular. Each function hands an undefined context on.
    compilerOptions: { experimentalDecorators: true, exactOptionalPropertyTypes: false },
  },
  {
    name: 'rtk-query',
    command: ['rtk-query-codegen-openapi', 'config.json'],
    config: {
      schemaFile: contract,
      apiFile: '../../usage/rtk-query-base.ts',
      apiImport: 'emptyApi',
      outputFile: 'api.ts',
      exportName: 'conduit',
      hooks: true,
      tag: true,
    },
  },
]

// run gives what a tool printed, and fails with it when the tool fails. Some print the client itself.
function run(tool, args, cwd) {
  return new Promise((resolve, reject) =>
    execFile(
      path.join(here, 'node_modules/.bin', tool),
      args,
      { cwd, maxBuffer: mostPrinted },
      (error, stdout, stderr) =>
        error ? reject(new Error(`${tool} failed:\n${stdout}${stderr}`)) : resolve({ stdout, stderr }),
    ),
  )
}

// answeredByMocks calls each operation of the contract, where nobody but the mocks can answer. They draw what the
// contract allows, as long and as many as it allows, so that loose bounds in it show here: as megabytes, or as seconds.
async function answeredByMocks(handlers, { paths, components }) {
  const server = setupServer(...handlers)
  server.listen({ onUnhandledRequest: 'error' })
  try {
    for (const [template, operations] of Object.entries(paths)) {
      for (const method of ['get', 'post', 'put', 'delete'].filter((method) => operations[method])) {
        const started = performance.now()
        const url = `http://mocks.test/api${template.replace(/{\w+}/g, '1')}`
        const answer = await fetch(url, { method: method.toUpperCase() })
        const body = await answer.text()
        const [status] = Object.keys(operations[method].responses)
        const took = performance.now() - started
        assert.equal(String(answer.status), status, `${method} ${template}`)
        assert.ok(body.length < 4e6 && took < 5000, `${method} ${template}: ${body.length} bytes in ${took} ms`)
        // Where several answers are good, some draw the body of any of them, and none if one of them has none.
        const good = Object.entries(operations[method].responses)
          .filter(([code]) => code.startsWith('2'))
          .map(([, { content }]) => content)
        const fits = good.some((content) => {
          if (!content) return body === ''
          const schema = content['application/json']?.schema
          if (!schema) return body !== ''
          const { required } = components.schemas[schema.$ref.split('/').at(-1)]
          return body !== '' && required.every((member) => Object.hasOwn(JSON.parse(body), member))
        })
        assert.ok(fits, `${method} ${template}: ${body.slice(0, 1000)}`)
      }
    }
  } finally {
    server.close()
  }
}

describe('clients generated from the contract', { concurrency: 2 }, () => {
  for (const { name, command, config, printed, compilerOptions = {} } of generators) {
    test(name, async (t) => {
      // Below node_modules' folder, where the client finds what it imports.
      const folder = path.join(here, 'generated', name)
      const usage = path.join(here, 'usage', `${name}.ts`)

      await t.test('is generated, without a warning', async () => {
        await rm(folder, { recursive: true, force: true })
        await mkdir(folder, { recursive: true })
        if (config) {
          const written = typeof config === 'string' ? ['config.js', config] : ['config.json', JSON.stringify(config)]
          await writeFile(path.join(folder, written[0]), written[1])
        }
        const [tool, ...args] = command
        const { stdout, stderr } = await run(tool, args, folder)
        if (printed) {
          await writeFile(path.join(folder, printed), stdout)
        }
        const said = (printed ? stderr : stdout + stderr).replaceAll(contract, '').replaceAll(folder, '')
        assert.doesNotMatch(said, /warn|error|invalid|conflict|duplicat|unsupported/i)
      })

      await t.test('compiles, and its types are those which a front end relies on', async () => {
        const project = { extends: '../../tsconfig.json', compilerOptions, include: ['**/*.ts', usage] }
        await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify(project))
        await run('tsc', ['--project', '.'], folder)
      })

      await t.test('works with a server', async (t) => {
        const outfile = path.join(folder, 'journey.mjs')
        await build({
          entryPoints: [usage],
          outfile,
          bundle: true,
          packages: 'external',
          format: 'esm',
          logLevel: 'error',
        })
        const { journey, mocks } = await import(pathToFileURL(outfile))
        const server = await serve({ args: ['--database=sqlite::memory:', '--demo'] })
        t.after(() => server.stop())
        assert.deepEqual(await journey(server.api), {
          listed: 1,
          username: 'johndoe',
          favorited: { anonymous: false, loggedIn: true }, // the second only if the token was sent where it is optional
          bio: null,
          tagList: ['clients', 'types'],
          errors: { article: ['not found'] },
        })
        if (mocks) {
          await t.test('and without one, by its mocks', async () => {
            const contract = await (await fetch(`${server.origin}/openapi.json`)).json()
            await answeredByMocks(mocks(), contract)
          })
        }
      })
    })
  }
})

test('docs/generators.md says which versions these are', async () => {
  const [text, lock, ogen] = await Promise.all(
    ['../../docs/generators.md', 'package-lock.json', '../ogen/go.mod'].map((file) =>
      readFile(path.join(here, file), 'utf8'),
    ),
  )
  const documented = [...text.matchAll(/^\|.*?\| `(.+?)` \| (\S+) \|/gm)].map(([, name, version]) => [name, version])
  const { packages } = JSON.parse(lock)
  const commands = new Set(generators.map(({ command }) => command[0]))
  const used = Object.entries(packages)
    .filter(
      ([place, { bin = {} }]) =>
        place.lastIndexOf('node_modules/') === 0 && Object.keys(bin).some((c) => commands.has(c)),
    )
    .map(([place, { version }]) => [place.slice('node_modules/'.length), version])
  used.push(/(github.com\/ogen-go\/ogen) (\S+)/.exec(ogen).slice(1))
  assert.deepEqual(documented.sort(), used.sort())
})
