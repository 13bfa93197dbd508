import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'

const packageFolder = path.resolve(import.meta.dirname, '..')
const binary = path.resolve(packageFolder, process.env['CONDUIT'] ?? '../../bin/conduit')

export interface Server {
  /** The base URL of its API. */
  api: string
  /** Fails if any answer broke the contract. */
  stop: () => Promise<void>
}

/** Starts a server with demo content on a port of its own, and waits until it listens. It leaves nothing behind. */
export async function startServer(): Promise<Server> {
  // The server's own defaults are what is tested, not the settings of whoever runs this. With a key it writes no file.
  const env: NodeJS.ProcessEnv = { CONDUIT_KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64') }
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith('CONDUIT')) {
      env[name] = value
    }
  }
  const args = ['serve', '--database', 'sqlite::memory:', '--listen', '127.0.0.1:0', '--demo', '--check-responses']
  const child = spawn(binary, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  child.stderr.on('data', (text) => (log += text))
  await once(child, 'spawn')
  const ended = once(child, 'close')

  for await (const line of createInterface({ input: child.stdout })) {
    const api = /^ +API +(http\S+)$/.exec(line)?.[1]
    if (api) {
      child.stdout.resume()
      const stop = async () => {
        child.kill()
        await ended
        const violations = log.split('\n').filter((line) => line.includes('breaks the contract'))
        if (violations.length > 0) {
          throw new Error(violations.join('\n'))
        }
      }
      return { api, stop }
    }
  }
  throw new Error(`conduit serve did not start: ${log}`)
}
