// Makes releases in a copy of the tree, and has the wrong ones refused.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'

import { compare, mayBreak, stated } from './release.js'

const root = path.resolve(import.meta.dirname, '../..')

// copy is a repository with the tree in one commit, and what is installed.
let copy
const at = (...names) => path.join(copy, ...names)
const git = (...args) =>
  execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@example.com', ...args], { cwd: copy, encoding: 'utf8' })
before(() => {
  copy = mkdtempSync(path.join(tmpdir(), 'conduit-release-'))
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root })
  for (const name of files.toString().split('\0').filter(Boolean)) {
    if (!existsSync(path.join(root, name))) continue
    mkdirSync(path.dirname(at(name)), { recursive: true })
    cpSync(path.join(root, name), at(name))
  }
  for (const folder of ['clients/typescript', 'tools/docs', 'tools/collection'])
    symlinkSync(path.join(root, folder, 'node_modules'), at(folder, 'node_modules'))
  writeFileSync(at('.git-excludes'), 'node_modules\n.git-excludes\n') // a link is no folder
  git('init', '--quiet', '--initial-branch=main')
  for (const [name, value] of [
    ['core.excludesFile', at('.git-excludes')],
    ['user.name', 'x'],
    ['user.email', 'x@example.com'],
  ])
    git('config', name, value)
  git('add', '--all')
  git('commit', '--quiet', '--message', 'a tree')
})
after(() => rmSync(copy, { recursive: true, force: true }))

function release(...args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(root, 'tools/release/release.js'), ...args],
    {
      cwd: copy,
      encoding: 'utf8',
    },
  )
  return { status, said: stdout + stderr }
}

function refused(words, ...args) {
  const { status, said } = release(...args)
  assert.equal(status, 1, said)
  assert.match(said, words)
}

const releases = () => JSON.parse(readFileSync(at('contract/released/releases.json'), 'utf8'))
const last = () => releases().at(-1).version
const changed = (name, change) => writeFileSync(at(name), change(readFileSync(at(name), 'utf8')))

test('the version is the same everywhere', () => {
  const places = stated(root)
  const { version } = JSON.parse(readFileSync(path.join(root, 'contract/released/releases.json'), 'utf8')).at(-1)
  for (const { file, versions } of places) for (const said of versions) assert.equal(said, version, file)
})

test('versions have an order, and some may break clients', () => {
  assert.ok(compare('1.10.0', '1.9.9') > 0 && compare('1.0.0', '1.0.0') === 0 && compare('0.9.9', '1.0.0') < 0)
  for (const [from, to, may] of [
    ['1.0.0', '1.1.0', false],
    ['1.9.0', '2.0.0', true],
    ['0.1.0', '0.1.1', false],
    ['0.1.0', '0.2.0', true],
    ['0.3.0', '1.0.0', true],
  ])
    assert.equal(mayBreak(from, to), may, `${from} ${to}`)
})

describe('a release', () => {
  const first = () => git('rev-list', '--max-parents=0', 'HEAD').trim()
  beforeEach(() => {
    git('reset', '--quiet', '--hard', first())
    git('clean', '--quiet', '--force', '-d')
    for (const tag of git('tag', '--list').split('\n').filter(Boolean)) git('tag', '--delete', tag)
  })

  test('is refused for what is no version, or no greater one', () => {
    for (const version of ['', 'v9.0.0', '9.0', '9.0.0-rc1', '09.0.0']) refused(/is no version like 1\.2\.3/, version)
    for (const version of ['0.0.1', last()]) refused(/is not greater than/, version)
  })

  test('is refused while something is not committed', () => {
    changed('README.md', (text) => `${text}\n`)
    refused(/not committed:\n M README\.md/, '9.0.0')
    git('checkout', '--quiet', '.')
    writeFileSync(at('new.txt'), '')
    refused(/not committed:\n\?\? new\.txt/, '9.0.0')
  })

  test('is refused where its tag is', () => {
    git('tag', 'v9.0.0')
    refused(/there is a tag v9\.0\.0 already/, '9.0.0')
  })

  test('that breaks clients has to be a major version', () => {
    const [major, minor] = last().split('.').map(Number)
    changed('openapi.yaml', (text) => text.replace('\n  /tags:\n', '\n  /labels:\n'))
    git('commit', '--quiet', '--all', '--message', 'a break')
    for (const version of [`${major}.${minor + 1}.0`, `${major}.${minor}.99`])
      refused(/only a new major version may:\n[^]*\/tags/, version)
  })

  test('that fails half way leaves nothing behind', () => {
    changed('Makefile', (text) => text.replace('\ngenerate: ', '\ngenerate: no-such-file '))
    git('commit', '--quiet', '--all', '--message', 'a fault')
    assert.notEqual(release('99.0.0').status, 0)
    assert.equal(git('status', '--porcelain'), '')
    assert.equal(git('tag', '--list'), '')
    assert.notEqual(last(), '99.0.0')
  })

  test('keeps the contract and the journeys, says the version everywhere, and is a commit and a tag', () => {
    const before = last()
    const { status, said } = release('99.0.0', 'nothing but a test')
    assert.equal(status, 0, said)
    assert.equal(last(), '99.0.0')
    for (const { file, versions } of stated(copy))
      assert.ok(
        versions.every((version) => version === '99.0.0'),
        file,
      )
    const kept = readFileSync(at('contract/released/99.0.0/openapi.yaml'), 'utf8')
    assert.equal(kept, readFileSync(at('openapi.yaml'), 'utf8'))
    assert.match(kept, /^ {2}version: 99\.0\.0/m)
    const journey = readFileSync(at('tools/history/99.0.0/realworld_test.go'), 'utf8')
    assert.match(journey, /"conduit\/tools\/history\/99\.0\.0\/api"/)
    for (const name of ['journey.ts', 'api/oapi-codegen.yaml', 'api/overlay.yaml', 'api/timestamp.go'])
      assert.ok(existsSync(at('tools/history/99.0.0', name)), name)
    const changelog = readFileSync(at('internal/docs/changelog/changelog.md'), 'utf8')
    assert.match(
      changelog,
      /^## Unreleased\n\nNothing yet\.\n\n## 99\.0\.0 \(\d{4}-\d\d-\d\d\)\n\nThis version brought nothing but a test\.$/m,
    )
    assert.ok(changelog.includes(`## ${before} `))
    assert.equal(git('status', '--porcelain'), '')
    assert.match(git('log', '-1', '--format=%s'), /^Release 99\.0\.0$/m)
    assert.equal(git('cat-file', '-t', 'v99.0.0').trim(), 'tag')
    assert.equal(git('rev-parse', 'v99.0.0^{commit}'), git('rev-parse', 'HEAD'))
    assert.match(git('tag', '--list', '--format=%(contents)', 'v99.0.0'), /^Conduit 99\.0\.0 \(/)
    refused(/there is a tag v99\.0\.0 already/, '99.0.0')
  })
})
