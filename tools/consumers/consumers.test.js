// The TypeScript client where people use it: installed as npm packs it, in small projects of the kinds that front-end teams have,
// each of which asks a running server for something.
//
//   make build && node --test
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

import { binary, env, serve } from '../conduit.mjs'

const here = import.meta.dirname
const client = path.resolve(here, '../../clients/typescript')
const installed = path.join(here, 'node_modules/@conduit/client')

const strict = {
  target: 'es2022',
  lib: ['es2022', 'dom', 'dom.iterable'],
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noEmit: true,
}

let server, scratch, tarball

// run runs a command of node_modules/.bin, or node itself, and returns what it printed.
async function run(command, args, { cwd = '.', ...variables } = {}) {
  const program = command === 'node' ? process.execPath : path.join(here, 'node_modules/.bin', command)
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, {
      cwd: path.join(here, cwd),
      env: { ...env, CONDUIT_API: server.api, NEXT_TELEMETRY_DISABLED: '1', CI: '1', ...variables },
      maxBuffer: 1 << 26,
    })
    return stdout + stderr
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}\n${error.stdout}\n${error.stderr}`)
  }
}

// page starts a server of a framework on a free port and returns its first page.
async function page(cwd, command, args, variables = {}) {
  const reserved = createServer().listen(0, '127.0.0.1')
  await once(reserved, 'listening')
  const { port } = reserved.address()
  reserved.close()
  await once(reserved, 'close')
  const child = spawn(process.execPath, [path.join(here, 'node_modules', command), ...args, '--port', String(port)], {
    cwd: path.join(here, cwd),
    env: { ...env, CONDUIT_API: server.api, NEXT_TELEMETRY_DISABLED: '1', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  child.stdout.on('data', (text) => (log += text))
  child.stderr.on('data', (text) => (log += text))
  const ended = once(child, 'close')
  try {
    for (const deadline = Date.now() + 60_000; ;) {
      try {
        const response = await fetch(`http://127.0.0.1:${port}/`)
        const text = await response.text()
        assert.equal(response.status, 200, `${text}\n${log}`)
        return text
      } catch (error) {
        if (error instanceof assert.AssertionError || Date.now() > deadline || child.exitCode !== null) {
          throw new Error(`${error}\n${log}`)
        }
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  } finally {
    child.kill()
    await ended
  }
}

describe('the package as npm packs it', { concurrency: 1 }, () => {
  before(async () => {
    scratch = await mkdtemp(path.join(tmpdir(), 'conduit-consumers-'))
    server = await serve({ cwd: scratch, args: ['--database=sqlite::memory:', '--demo'] })
    const pack = ['pack', '--silent', '--offline', '--no-update-notifier', '--pack-destination', scratch]
    const { stdout } = await promisify(execFile)('npm', pack, { cwd: client })
    tarball = path.join(scratch, stdout.trim().split('\n').at(-1))
    await rm(installed, { recursive: true, force: true })
    await mkdir(installed, { recursive: true })
    await promisify(execFile)('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
  })
  after(async () => {
    await rm(scratch, { recursive: true })
    await server.stop()
  })

  test('publint finds nothing', async () => {
    assert.match(await run('publint', ['--strict', tarball]), /All good/)
  })

  test('are the types wrong? finds nothing, however it is imported', async () => {
    // vitest cannot be required, so neither can what imports it.
    const vitest = ['./testing/vitest', './testing/vitest/global-setup']
    assert.match(await run('attw', [tarball, '--no-emoji', '--exclude-entrypoints', ...vitest]), /No problems found/)
    await run('attw', [tarball, '--no-emoji', '--profile', 'esm-only', '--entrypoints', ...vitest])
  })

  test('require in Node.js', async () => {
    assert.equal(await run('node', ['index.cjs'], { cwd: 'commonjs' }), '200 1\n')
  })

  for (const compiler of ['typescript', 'typescript-5.4']) {
    for (const [module, resolution, type] of [
      ['commonjs', 'node', 'commonjs'],
      ['node16', 'node16', 'commonjs'],
      ['node16', 'node16', 'module'],
      ['esnext', 'bundler', 'module'],
    ]) {
      test(`types with ${compiler}, module ${module}, moduleResolution ${resolution}, "type": "${type}"`, async () => {
        const folder = path.join(here, 'types', type)
        const compilerOptions = { module, moduleResolution: resolution, ...strict }
        await mkdir(folder, { recursive: true })
        await writeFile(path.join(folder, 'package.json'), JSON.stringify({ type }))
        await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
        for (const source of ['journey.ts', 'testing.ts']) {
          await copyFile(path.join(here, 'types', source), path.join(folder, source))
        }
        const tsc = path.join(here, 'node_modules', compiler, 'bin/tsc')
        await run('node', [tsc, '--project', '.'], { cwd: path.join('types', type) })
      })
    }
  }

  test('Jest with ts-jest, as CommonJS', async () => {
    assert.match(await run('jest', [], { cwd: 'jest' }), /1 passed/)
  })

  test('vitest with msw', async () => {
    assert.match(await run('vitest', ['run', '--root', '.'], { cwd: 'vitest' }), /2 passed/)
  })

  test('Playwright as CommonJS, each worker with its world', async () => {
    assert.match(await run('playwright', ['test'], { cwd: 'playwright', CONDUIT_BINARY: binary }), /4 passed/)
  })

  test('vitest, each test with its world', async () => {
    assert.match(await run('vitest', ['run', '--root', '.'], { cwd: 'worlds', CONDUIT_BINARY: binary }), /2 passed/)
  })

  test('Vite with React and TanStack Query', async () => {
    await run('tsc', ['--project', '.'], { cwd: 'vite' })
    await run('vite', ['build', '--ssr', 'src/main.tsx', '--logLevel', 'error'], { cwd: 'vite' })
    const script = "import('./dist/main.js').then(async ({ render }) => console.log(await render()))"
    assert.match(await run('node', ['--eval', script], { cwd: 'vite' }), /<ul title="tags"><li>/)
  })

  test('Next.js', async () => {
    await run('next', ['build'], { cwd: 'next' })
    assert.match(
      await page('next', 'next/dist/bin/next', ['start', '--hostname', '127.0.0.1']),
      /articles: (<!-- -->)?3/,
    )
  })

  test('SvelteKit, in a universal load', async () => {
    const variables = { PUBLIC_CONDUIT_API: server.api }
    await run('vite', ['build'], { cwd: 'sveltekit', ...variables })
    const text = await page('sveltekit', 'vite/bin/vite.js', ['preview', '--host', '127.0.0.1'], variables)
    assert.match(text, /tags: \d+, user: 401/)
  })
})
