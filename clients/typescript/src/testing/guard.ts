/**
 * What stands between a test run and the server: a process of its own, which ends the server when the run closes its
 * standard input. That is also what happens to the pipe of a run that is killed, so no server is left behind. It is a
 * text and no file of its own, because it has to run as it is: Node.js 20 runs no TypeScript.
 */
export const guard = `
const { spawn } = require('node:child_process')
const [program, ...args] = process.argv.slice(1)
const server = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'], windowsHide: true })
server.once('error', (error) => {
  console.error(error.message)
  process.exit(127)
})
server.once('exit', (code) => process.exit(code ?? 1))
const stop = () => {
  server.kill('SIGTERM')
  setTimeout(() => server.kill('SIGKILL'), 5000)
}
process.stdin.once('close', stop).once('error', stop).resume()
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.once(signal, stop)
`
