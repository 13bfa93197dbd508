// Clients of the contract, as front-end teams generate them: each generator makes one, strict TypeScript compiles it together with
// a hand-written use of it (usage/), and that use is run against a server.
//
//   CONDUIT=path/to/conduit CONTRACT=path/to/openapi.yaml node --test
//
// .npmrc lets no dependency run a script at installation: one reports who installs it, and esbuild works without.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { build } from 'esbuild'

import { serve } from '../conduit.mjs'

const here = import.meta.dirname
const contract = path.resolve(process.env.CONTRACT ?? '../../openapi.yaml')

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
    name: 'orval',
    command: ['orval', '--config', 'config.json'],
    config: {
      fetch: orval('fetch', sender),
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

// run gives what a tool printed, and fails with it when the tool fails.
function run(tool, args, cwd) {
  return new Promise((resolve, reject) =>
    execFile(path.join(here, 'node_modules/.bin', tool), args, { cwd }, (error, stdout, stderr) =>
      error ? reject(new Error(`${tool} failed:\n${stdout}${stderr}`)) : resolve(stdout + stderr),
    ),
  )
}

describe('clients generated from the contract', { concurrency: 2 }, () => {
  for (const { name, command, config, compilerOptions = {} } of generators) {
    test(name, async (t) => {
      // Below node_modules' folder, where the client finds what it imports.
      const folder = path.join(here, 'generated', name)
      const usage = path.join(here, 'usage', `${name}.ts`)

      await t.test('is generated, without a warning', async () => {
        await rm(folder, { recursive: true, force: true })
        await mkdir(folder, { recursive: true })
        if (config) {
          await writeFile(path.join(folder, 'config.json'), JSON.stringify(config))
        }
        const [tool, ...args] = command
        const said = (await run(tool, args, folder)).replaceAll(contract, '').replaceAll(folder, '')
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
        const { journey } = await import(pathToFileURL(outfile))
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
      })
    })
  }
})
