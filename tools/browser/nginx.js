// Starts a real nginx with the configuration that docs/proxies.md shows, but for where it listens and TLS.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

// freePort is one on which nobody listens.
export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

// startNginx starts one on a port in front of a server; strips has it take off the path. It ends with the test.
export async function startNginx(t, port, server, strips) {
  const page = await readFile(new URL('../../docs/proxies.md', import.meta.url), 'utf8')
  const { host } = new URL(server.origin)
  let [, site] = /```nginx\n(.*?)```/s.exec(page)
  const changes = [
    ['listen 443 ssl;', `listen 127.0.0.1:${port};`],
    [/^ +ssl_certificate.*\n/gm, ''],
    [/127\.0\.0\.1:808[01]/g, host],
    ...(strips
      ? [['/blog/ {\n        proxy_pass http://conduit;', '/blog/ {\n        proxy_pass http://conduit/;']]
      : []),
  ]
  for (const [there, instead] of changes) {
    const changed = site.replace(there, instead)
    if (changed === site) throw new Error(`the configuration in docs/proxies.md lacks ${there}`)
    site = changed
  }
  const folder = await mkdtemp(path.join(tmpdir(), 'nginx'))
  t.after(() => rm(folder, { recursive: true }))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((it) => `${it}_temp_path ${folder}/${it};`)
  const main = `daemon off; master_process off; pid ${folder}/pid; events {}`
  await writeFile(`${folder}/nginx.conf`, `${main}\nhttp { access_log off; ${temporary.join(' ')}\n${site}}\n`)
  const program = process.env.NGINX ?? '/usr/sbin/nginx'
  const child = spawn(program, ['-p', folder, '-e', `${folder}/error.log`, '-c', `${folder}/nginx.conf`])
  let log = ''
  child.stderr.on('data', (text) => (log += text))
  const ended = new Promise((resolve, reject) => {
    child.once('close', resolve)
    child.once('error', reject) // it is not there
  })
  t.after(() => child.kill() && ended)
  await Promise.race([
    listens(port),
    ended.then(() => {
      throw new Error(`nginx ended: ${log}`)
    }),
  ])
}

async function listens(port) {
  const answers = () =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.once('connect', () => socket.destroy())
      socket.once('error', () => resolve(false))
    })
  while (!(await answers()));
}
