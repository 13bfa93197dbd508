import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import ts from 'typescript'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'

const run = promisify(execFile)
const packageFolder = path.resolve(import.meta.dirname, '..')

// A project that has installed the package as npm would pack it, and knows nothing of this folder.
let project: string
let installed: string

beforeAll(async () => {
  project = await mkdtemp(path.join(tmpdir(), 'conduit-consumer-'))
  const modules = path.join(project, 'node_modules')
  installed = path.join(modules, '@conduit/client')
  await mkdir(installed, { recursive: true })
  const pack = ['pack', '--offline', '--no-update-notifier', '--pack-destination', project]
  await run('npm', pack, { cwd: packageFolder })
  const [tarball] = (await readdir(project)).filter((name) => name.endsWith('.tgz'))
  await run('tar', ['-xzf', path.join(project, tarball!), '-C', installed, '--strip-components=1'])
  await mkdir(path.join(modules, '@playwright'))
  for (const name of ['openapi-fetch', '@playwright/test', 'playwright', 'playwright-core', 'vitest', 'vite']) {
    await symlink(path.join(packageFolder, 'node_modules', name), path.join(modules, name), 'junction')
  }

  await writeFile(path.join(project, 'package.json'), '{ "type": "module" }')
  await cp(path.join(packageFolder, 'test/consumer'), project, { recursive: true })
  for (const [name, page] of [
    ['readme', 'README.md'],
    ['testing', '../../docs/testing.md'],
  ] as const) {
    const text = await readFile(path.join(packageFolder, page), 'utf8')
    for (const [n, [, code]] of [...text.matchAll(/^```ts\n(.*?)^```$/gms)].entries()) {
      await writeFile(path.join(project, `${name}-${n + 1}.ts`), code!)
    }
  }
}, 180_000)

afterAll(() => rm(project, { recursive: true }))

// files gives what is below a folder, by paths relative to it.
const files = async (folder: string) =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort()

test('it holds what was built, the licence and nothing else', async () => {
  const modules = (await files(path.join(packageFolder, 'src'))).map((name) => name.replace(/\.ts$/, ''))
  const built = ['cjs', 'esm'].flatMap((kind) =>
    modules
      .filter((name) => kind === 'esm' || !name.startsWith('testing/vitest')) // vitest cannot be required
      .flatMap((name) => ['.d.ts', '.js', '.js.map'].map((ending) => `dist/${kind}/${name}${ending}`)),
  )
  const manifests = ['LICENSE', 'README.md', 'package.json', 'dist/cjs/package.json']
  expect(await files(installed)).toEqual([...built, ...manifests].sort())
})

test('its source maps lead to sources that are in them, and name no folder of whoever built it', async () => {
  const names = (await files(installed)).filter((name) => name.endsWith('.js'))
  expect(names.length).toBeGreaterThan(5)
  for (const name of names) {
    const file = path.join(installed, name)
    const [, map] = /\/\/# sourceMappingURL=(.+)\s*$/.exec(await readFile(file, 'utf8')) ?? []
    expect(map).toBe(`${path.basename(name)}.map`)
    const { sources, sourcesContent } = JSON.parse(await readFile(path.join(path.dirname(file), map!), 'utf8'))
    for (const [i, source] of (sources as string[]).entries()) {
      expect(source).toMatch(/^(\.\.\/)+src\/(testing\/)?[\w-]+\.ts$/)
      const written = await readFile(path.join(packageFolder, source.replace(/^(\.\.\/)+/, '')), 'utf8')
      expect(sourcesContent[i]).toBe(written)
    }
  }
  for (const name of await files(installed)) {
    expect(await readFile(path.join(installed, name), 'utf8')).not.toContain(path.dirname(packageFolder))
  }
})

test('what its manifest and README.md point to is in it', async () => {
  const manifest = JSON.parse(await readFile(path.join(installed, 'package.json'), 'utf8'))
  const ends = (value: unknown): string[] => (typeof value === 'string' ? [value] : Object.values(value!).flatMap(ends))
  const pointed = ends([manifest.main, manifest.types, manifest.exports, manifest.typesVersions])
  expect(pointed.length).toBeGreaterThan(6)
  const there = await files(installed)
  expect(pointed.map((target) => path.normalize(target)).filter((target) => !there.includes(target))).toEqual([])
  expect(Object.keys(manifest.dependencies)).toEqual(['openapi-fetch'])
  expect(Object.keys(manifest.peerDependencies)).toEqual(Object.keys(manifest.peerDependenciesMeta)) // all optional
  const readme = await readFile(path.join(installed, 'README.md'), 'utf8')
  const links = [...readme.matchAll(/\]\((.+?)\)/g)].map(([, target]) => target!)
  expect(links.length).toBeGreaterThan(0)
  // A registry shows it beside no other file of this project.
  expect(links.filter((target) => !/^(https:|#)/.test(target) && !there.includes(target))).toEqual([])
})

test('a registry would take it, were it not private', async () => {
  const folder = path.join(project, 'publishing')
  await cp(installed, folder, { recursive: true })
  const file = path.join(folder, 'package.json')
  const { private: kept, ...manifest } = JSON.parse(await readFile(file, 'utf8'))
  expect(kept).toBe(true)
  await writeFile(file, JSON.stringify(manifest))
  // A dry run needs no registry: nobody is asked.
  const nobody = ['--registry=http://127.0.0.1:9', '--fetch-retries=0', '--no-update-notifier']
  const publish = ['publish', '--dry-run', '--ignore-scripts', '--json', ...nobody]
  const { stdout, stderr } = await run('npm', publish, { cwd: folder })
  const said = JSON.parse(stdout)
  const { files: published, bundled } = said['@conduit/client'] ?? said // npm 11 or 10
  expect(published.map((entry: { path: string }) => entry.path).sort()).toEqual(await files(installed))
  expect(bundled).toEqual([])
  expect(stderr).not.toContain('auto-corrected')
  await rm(folder, { recursive: true })
})

function problemsOf(sources: string[], options: ts.CompilerOptions): string[] {
  const program = ts.createProgram({
    rootNames: sources.map((name) => path.join(project, name)),
    options: {
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
      skipLibCheck: false,
      skipDefaultLibCheck: true, // TypeScript's own are not what is tested, and take seconds.
      noEmit: true,
      ...options,
    },
  })
  const names = program.getSourceFiles().map(({ fileName }) => fileName)
  expect(names).toContain(path.join(installed, 'dist/esm/client.d.ts'))
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file && ts.getLineAndCharacterOfPosition(file, start!).line + 1
    return `${file && path.relative(project, file.fileName)}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
}

const sources = async () => (await readdir(project)).filter((name) => name.endsWith('.ts'))

test.each([
  ['bundler', ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
  ['nodenext', ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
])(
  'its types and the code in README.md hold in a strict project that resolves by %s',
  async (_, module, moduleResolution) => {
    const names = (await sources()).filter((name) => !name.startsWith('testing-'))
    expect(names).toEqual(expect.arrayContaining(['narrowing.ts', 'faults.ts', 'readme-1.ts']))
    expect(problemsOf(names, { module, moduleResolution })).toEqual([])
  },
)

test('the code in docs/testing.md holds beside Playwright and vitest', async () => {
  const names = (await sources()).filter((name) => name.startsWith('testing-'))
  expect(names.length).toBeGreaterThan(5)
  const options = {
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    typeRoots: [path.join(packageFolder, 'node_modules/@types')],
    types: ['node'],
    skipLibCheck: true, // that of Playwright and vitest
  }
  expect(problemsOf(names, options)).toEqual([])
})

test('Node.js loads it and it reaches the server', async () => {
  const script = `
    import { createConduitClient } from '@conduit/client'
    const tags = await createConduitClient({ baseUrl: '${inject('api')}' }).GET('/tags')
    console.log(tags.status)`
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: project })
  expect(stdout).toBe('200\n')
})

// What a test run does that is killed: it cannot say goodbye to its server.
test.each(['SIGKILL', 'SIGINT', 'forgets to stop it'] as const)(
  'a run that starts a server leaves none: %s',
  async (how) => {
    const script = `
    import { createWorld, startServer } from '@conduit/client/testing'
    const server = await startServer()
    await createWorld({}, server)
    console.log(server.url)
    ${how.startsWith('SIG') ? 'setInterval(() => {}, 1000)' : ''}`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { cwd: project })
    const ended = once(child, 'close')
    const [printed] = await once(child.stdout, 'data')
    const url = String(printed).trim()
    if (how.startsWith('SIG')) {
      expect((await fetch(`${url}/worlds`)).status).toBe(200)
      child.kill(how as NodeJS.Signals)
    }
    await ended
    await expect.poll(() => fetch(`${url}/worlds`).catch(() => 'gone'), { timeout: 20_000 }).toBe('gone')
  },
)

test('it can be required, the test kit too', async () => {
  const script = `
    const { startServer } = require('@conduit/client/testing')
    const { test } = require('@conduit/client/testing/playwright')
    console.log(typeof startServer, typeof test.use, typeof require('@conduit/client/testing/playwright/global-setup').default)`
  const { stdout } = await run(process.execPath, ['--input-type=commonjs', '--eval', script], { cwd: project })
  expect(stdout).toBe('function function function\n')
})
