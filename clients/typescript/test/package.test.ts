import { execFile } from 'node:child_process'
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
  await symlink(path.join(packageFolder, 'node_modules/openapi-fetch'), path.join(modules, 'openapi-fetch'), 'junction')

  await writeFile(path.join(project, 'package.json'), '{ "type": "module" }')
  await cp(path.join(packageFolder, 'test/consumer'), project, { recursive: true })
  const readme = await readFile(path.join(packageFolder, 'README.md'), 'utf8')
  for (const [n, [, code]] of [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].entries()) {
    await writeFile(path.join(project, `readme-${n + 1}.ts`), code!)
  }
})

afterAll(() => rm(project, { recursive: true }))

test('it holds what was built, the licence and nothing else', async () => {
  expect((await readdir(installed)).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json'])
  expect((await readdir(path.join(installed, 'dist'))).sort()).toEqual(['cjs', 'esm'])
  for (const kind of ['cjs', 'esm']) {
    const map = JSON.parse(await readFile(path.join(installed, 'dist', kind, 'client.js.map'), 'utf8'))
    expect(map.sourcesContent[0]).toContain('export function createConduitClient')
  }
})

test.each([
  ['bundler', ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
  ['nodenext', ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
])(
  'its types and the code in README.md hold in a strict project that resolves by %s',
  async (_, module, resolution) => {
    const files = (await readdir(project)).filter((name) => name.endsWith('.ts'))
    expect(files).toContain('narrowing.ts')
    expect(files).toContain('readme-1.ts')
    const program = ts.createProgram({
      rootNames: files.map((name) => path.join(project, name)),
      options: {
        module,
        moduleResolution: resolution,
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
      },
    })
    const names = program.getSourceFiles().map(({ fileName }) => fileName)
    expect(names).toContain(path.join(installed, 'dist/esm/index.d.ts'))
    const problems = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
      const line = file && ts.getLineAndCharacterOfPosition(file, start!).line + 1
      return `${file && path.relative(project, file.fileName)}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
    expect(problems).toEqual([])
  },
)

test('Node.js loads it and it reaches the server', async () => {
  const script = `
    import { createConduitClient } from '@conduit/client'
    const tags = await createConduitClient({ baseUrl: '${inject('api')}' }).GET('/tags')
    console.log(tags.status)`
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: project })
  expect(stdout).toBe('200\n')
})
