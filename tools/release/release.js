// Makes a release: writes its version wherever it stands, keeps its contract and the journeys of its clients, and records that in
// a commit and an annotated tag. It pushes nothing. `make release VERSION=1.1.0` then builds what people download.
//
//   node tools/release/release.js 1.1.0 ["what it brings, in a few words"]
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

// root is the repository in which this is started.
const root = process.cwd()
const inRoot = (...names) => path.join(root, ...names)

class Refusal extends Error {}

function refuse(words) {
  throw new Refusal(words)
}

const run = (command, args, options) =>
  execFileSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 16 << 20, ...options })
const git = (...args) => run('git', args).trimEnd()

// Where the version of the contract and of its clients stands, and how often. Each pattern has the version alone.
const places = [
  ['openapi.yaml', /(?<=^ {2}version: )\d+\.\d+\.\d+/gm, 1],
  ['clients/typescript/package.json', /(?<=^ {2}"version": ")\d+\.\d+\.\d+/gm, 1],
  ['clients/typescript/package-lock.json', /(?<=^ *"name": "@conduit\/client",\n *"version": ")\d+\.\d+\.\d+/gm, 2],
  ['clients/typescript/README.md', /(?<=conduit-client-)\d+\.\d+\.\d+(?=\.tgz)/g, 2],
]

// stated gives the versions that the files of a tree say.
export function stated(folder = root) {
  return places.map(([file, pattern, times]) => {
    const found = readFileSync(path.join(folder, file), 'utf8').match(pattern) ?? []
    if (found.length !== times)
      throw new Error(`${file} says a version ${found.length} times, and has to ${times} times`)
    return { file, versions: found }
  })
}

// compare is negative if a is the older version.
export function compare(a, b) {
  const [one, other] = [a, b].map((text) => text.split('.').map(Number))
  const at = one.findIndex((number, i) => number !== other[i])
  return at < 0 ? 0 : one[at] - other[at]
}

// mayBreak tells whether a version may break clients of another (Semantic Versioning 2.0.0, 4 and 8).
export function mayBreak(last, next) {
  const [[major, minor], [newMajor, newMinor]] = [last, next].map((text) => text.split('.').map(Number))
  return newMajor > major || (major === 0 && newMinor > minor)
}

function check(next, releases) {
  if (!/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/.test(next)) refuse(`${next || 'nothing'} is no version like 1.2.3`)
  const uncommitted = git('status', '--porcelain')
  if (uncommitted) refuse(`there is something that is not committed:\n${uncommitted}`)
  if (git('tag', '--list', `v${next}`)) refuse(`there is a tag v${next} already`)
  const last = releases.at(-1).version
  if (compare(next, last) <= 0) refuse(`${next} is not greater than ${last}, which was released last`)
  if (mayBreak(last, next)) return
  const kept = `contract/released/${last}/openapi.yaml`
  try {
    run('go', ['tool', '-modfile=tools/go.mod', 'oasdiff', 'breaking', '--fail-on', 'ERR', kept, 'openapi.yaml'])
  } catch (fault) {
    refuse(`${next} would break clients of ${last}, and only a new major version may:\n${fault.stdout}${fault.stderr}`)
  }
}

// keep writes what is kept of a release.
function keep(next, what, releases) {
  for (const [file, pattern] of places)
    writeFileSync(inRoot(file), readFileSync(inRoot(file), 'utf8').replace(pattern, next))

  const kept = inRoot('contract/released', next)
  mkdirSync(kept, { recursive: true })
  cpSync(inRoot('openapi.yaml'), path.join(kept, 'openapi.yaml'))
  const date = new Date().toISOString().slice(0, 10)
  const list = [...releases, { version: next, date, ...(what && { what }) }]
  writeFileSync(inRoot('contract/released/releases.json'), `${JSON.stringify(list, null, 2)}\n`)

  const journeys = inRoot('tools/history', next)
  mkdirSync(path.join(journeys, 'api'), { recursive: true })
  const current = inRoot('tools/history/next')
  for (const name of readdirSync(current).filter((name) => /_test\.go$|^journey\.ts$/.test(name))) {
    const text = readFileSync(path.join(current, name), 'utf8')
    writeFileSync(path.join(journeys, name), text.replaceAll('tools/history/next/api', `tools/history/${next}/api`))
  }
  for (const name of ['oapi-codegen.yaml', 'overlay.yaml', 'timestamp.go'])
    cpSync(inRoot('api', name), path.join(journeys, 'api', name))
  // The version in a lock file is no reason to install anything: `make release` has done so.
  const installed = ['clients/typescript', 'tools/docs', 'tools/collection'].map(
    (folder) => `--old-file=${folder}/node_modules/.package-lock.json`,
  )
  run('make', [...installed, 'generate'], { stdio: ['ignore', 'ignore', 'inherit'] })
}

// changes gives the section of the changelog, for the tag.
function changes(next) {
  const text = readFileSync(inRoot('internal/docs/changelog/changelog.md'), 'utf8')
  const section = text.split(/^(?=## )/m).find((section) => section.startsWith(`## ${next} `))
  return section.replace(/^##+ /gm, '').trim()
}

function main(next = '', what) {
  const releases = JSON.parse(readFileSync(inRoot('contract/released/releases.json'), 'utf8'))
  check(next, releases)
  try {
    keep(next, what, releases)
    git('add', '--all')
    run('git', ['commit', '--quiet', '--file=-'], { input: `Release ${next}\n${what ? `\nIt brings ${what}.\n` : ''}` })
  } catch (fault) {
    // Nothing was uncommitted before.
    git('reset', '--quiet', '--hard')
    git('clean', '--quiet', '--force', '-d')
    throw fault
  }
  run('git', ['tag', '--annotate', '--cleanup=verbatim', '--file=-', `v${next}`], {
    input: `Conduit ${changes(next)}\n`,
  })
  console.log(`Released ${next}. When dist/ is right: git push --follow-tags`)
}

if (process.argv[1] && import.meta.filename === path.resolve(process.argv[1])) {
  try {
    main(...process.argv.slice(2))
  } catch (fault) {
    if (!(fault instanceof Refusal)) throw fault
    console.error(`No release: ${fault.message}`)
    process.exit(1)
  }
}
