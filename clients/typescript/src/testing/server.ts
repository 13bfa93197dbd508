/// <reference lib="esnext.disposable" preserve="true" />
import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import path from 'node:path'

import { guard } from './guard.js'

/** How a server is started. */
export interface ServerOptions {
  /** The program. Without it that is what the variable `CONDUIT_BINARY` names, or else `conduit` in `PATH`. */
  binary?: string | undefined
  /** The port on 127.0.0.1. Without it the system gives a free one. */
  port?: number | undefined
  /** More arguments of `conduit serve`. */
  args?: readonly string[] | undefined
  /** How many milliseconds the server has to start. */
  timeout?: number | undefined
}

/** A running server with worlds. */
export interface Server extends AsyncDisposable {
  /** Where it is, without a slash at the end: `http://127.0.0.1:41234`. */
  readonly url: string
  /** What it printed and logged last. Empty for a server that somebody else started. */
  log(): string
  /** Ends it, and is done when it has ended. A server that somebody else started goes on. */
  stop(): Promise<void>
}

/** No server could be started or reached, and what to do about it. */
export class TestServerError extends Error {
  override readonly name = 'TestServerError'
}

/** The variable by which a global setup tells the processes of a test run where the server is. */
export const urlVariable = 'CONDUIT_WORLDS_URL'

const logLimit = 1 << 16

/**
 * Starts `conduit serve --worlds` and waits until it can be asked. It takes no setting from the environment and leaves
 * no file behind. It ends by `stop`, and at the latest with this process, however that ends.
 *
 * @throws TestServerError if there is no program, if it knows no worlds, if the port is taken, or if it does not start.
 */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const binary = findBinary(options.binary)
  const listen = `--listen=127.0.0.1:${options.port ?? 0}`
  // Beside the worlds there is the server itself, which nobody needs here.
  const args = ['serve', '--worlds', listen, '--database=sqlite::memory:', '--demo=false', ...(options.args ?? [])]
  const child = spawn(process.execPath, ['-e', guard, binary, ...args], {
    // In a group of its own: what interrupts a test run leaves it to the run to stop its server.
    detached: true,
    env: environment(),
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let log = ''
  child.stdin.on('error', () => {}) // It has ended by itself.
  child.stderr.on('data', (text) => (log = (log + text).slice(-logLimit)))
  let timer: ReturnType<typeof setTimeout> | undefined
  const url = await new Promise<string | undefined>((resolve) => {
    let printed = ''
    child.stdout.on('data', (text) => {
      log = (log + text).slice(-logLimit)
      printed = (printed + text).slice(-logLimit)
      const [, origin] = /(http:\/\/127\.0\.0\.1:\d+)\S*\s/.exec(printed) ?? []
      if (origin) {
        resolve(origin)
      }
    })
    timer = setTimeout(() => resolve(undefined), options.timeout ?? 30_000)
    void ended.then(() => resolve(undefined))
  }).finally(() => clearTimeout(timer))
  const stop = async () => {
    hold(child, true)
    child.stdin.end()
    await ended
  }
  try {
    if (url === undefined) {
      throw new TestServerError(whyNot(binary, options, log))
    }
    await checkWorlds(url)
  } catch (error) {
    await stop()
    throw error
  }
  hold(child, false)
  return { url, log: () => log, stop, [Symbol.asyncDispose]: stop }
}

/**
 * Takes a server that runs already.
 *
 * @throws TestServerError if there is none, or if it has no worlds.
 */
export async function connectServer(url: string): Promise<Server> {
  const origin = url.replace(/\/+$/, '')
  await checkWorlds(origin)
  const stop = async () => {}
  return { url: origin, log: () => '', stop, [Symbol.asyncDispose]: stop }
}

/**
 * What a global setup does: starts a server, or takes that of the variable `CONDUIT_WORLDS_URL`, and sets this variable
 * for the processes that run tests.
 */
export async function shareServer(options: ServerOptions = {}): Promise<Server> {
  const given = process.env[urlVariable]
  if (given) {
    return connectServer(given)
  }
  const server = await startServer(options)
  process.env[urlVariable] = server.url
  const stop = async () => {
    delete process.env[urlVariable]
    await server.stop()
  }
  return { ...server, stop, [Symbol.asyncDispose]: stop }
}

async function checkWorlds(url: string): Promise<void> {
  let response: Response
  try {
    response = await fetch(`${url}/worlds`)
    await response.arrayBuffer()
  } catch (cause) {
    throw new TestServerError(`No server answers at ${url}.`, { cause })
  }
  if (!response.ok) {
    const hint = response.status === 404 ? ' It has no worlds: start it by "conduit serve --worlds".' : ''
    throw new TestServerError(`The server at ${url} answers ${response.status} to GET /worlds.${hint}`)
  }
}

/** What the server's settings are is said by arguments alone, so that tests pass on each machine or on none. */
function environment() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('CONDUIT') && name !== 'NODE_OPTIONS'),
  )
}

/** Says whether a child keeps this process alive. A test that forgets `stop` ends all the same. */
function hold(child: ChildProcess, kept: boolean): void {
  for (const handle of [child, child.stdin, child.stdout, child.stderr] as { ref(): void; unref(): void }[]) {
    if (kept) {
      handle.ref()
    } else {
      handle.unref()
    }
  }
}

function findBinary(given = process.env.CONDUIT_BINARY): string {
  const ways = 'Build it with "make build", and name it by the option "binary" or the variable CONDUIT_BINARY.'
  if (given) {
    if (!isProgram(path.resolve(given))) {
      throw new TestServerError(`There is no program ${given}. ${ways}`)
    }
    return path.resolve(given)
  }
  const name = process.platform === 'win32' ? 'conduit.exe' : 'conduit'
  const found = (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((folder) => path.resolve(folder, name))
    .find(isProgram)
  if (!found) {
    throw new TestServerError(`There is no program "conduit" in PATH. ${ways}`)
  }
  return found
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

function whyNot(binary: string, options: ServerOptions, log: string): string {
  if (log.includes('unknown flag: --worlds')) {
    return `${binary} knows no worlds: it is an older version. Take one whose "conduit serve --help" has --worlds.`
  }
  if (log.includes('address already in use')) {
    return `Port ${options.port} on 127.0.0.1 is taken. Leave out "port", and the server gets a free one.`
  }
  return `${binary} did not start. It said: ${log.trim() || 'nothing'}`
}
