// Starts the built program for the checks that are written in JavaScript.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import path from 'node:path'

// binary is the program under test: the variable CONDUIT, or what `make build` makes.
export const binary = path.resolve(process.env.CONDUIT ?? fileURLToPath(new URL('../bin/conduit', import.meta.url)))

// env has the program's own defaults tested, not the settings of whoever runs this.
export const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CONDUIT')))

// serve starts an instance on a free port, in the folder cwd, and waits until it listens. origin and api have no slash
// at their end. stop asks it to end and is done when it has; it fails if any answer broke the contract. kill does not ask. log
// has what it logged.
export async function serve({ cwd, args = [] } = {}) {
  const child = spawn(binary, ['serve', '--listen=127.0.0.1:0', '--check-responses', ...args], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  let log = ''
  child.stderr.on('data', (text) => (log += text))
  let origin
  for await (const line of createInterface({ input: child.stdout })) {
    origin = /API +(http\S+)\/api$/.exec(line)?.[1] ?? /Listens +(http\S+)$/.exec(line)?.[1] ?? origin
    if (/^ +Database /.test(line)) {
      child.stdout.resume()
      const stop = async () => {
        child.kill()
        await ended
        const violations = log.split('\n').filter((line) => line.includes('breaks the contract'))
        if (violations.length > 0) throw new Error(violations.join('\n'))
      }
      const kill = () => {
        child.kill('SIGKILL')
        return ended
      }
      return { origin, api: `${origin}/api`, stop, kill, log: () => log }
    }
  }
  throw new Error(`conduit serve did not start: ${log}`)
}
