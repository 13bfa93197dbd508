import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

import { inject, onTestFinished } from 'vitest'

/**
 * What happens to a request on its way: it goes through, or its connection breaks before the server has it, after the
 * server has answered, or in the middle of the answer.
 */
export type Fate = 'through' | 'before' | 'after' | 'halfway'

/**
 * A network between a client and the live server that breaks connections, a real one each time. Requests meet these
 * fates one after another, and all others go through.
 */
export async function brokenNetwork(...fates: Fate[]) {
  const target = new URL(inject('api'))
  const requests: string[] = []
  const open = new Set<Socket>()
  const network = createServer((client) => {
    const server = connect(Number(target.port), target.hostname)
    for (const socket of [client, server]) {
      open.add(socket)
      socket.on('error', () => {}).on('close', () => (open.delete(socket), client.destroy(), server.destroy()))
    }
    let fate: Fate = 'through'
    client.on('data', (chunk) => {
      const head = /^(GET|HEAD|POST|PUT|DELETE) (\S+)[^]*?\r\n\r\n/.exec(chunk.toString('latin1'))
      if (head) {
        requests.push(head[0])
        fate = fates.shift() ?? 'through'
      }
      if (fate === 'before') {
        client.resetAndDestroy()
      } else {
        server.write(chunk)
      }
    })
    server.on('data', (chunk) => {
      if (fate === 'through') {
        client.write(chunk)
      } else if (fate === 'after') {
        client.resetAndDestroy()
      } else {
        client.write(chunk.subarray(0, chunk.length - 5), () => client.resetAndDestroy())
      }
    })
  })
  await new Promise<void>((resolve) => network.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    open.forEach((socket) => socket.destroy())
    network.close()
  })
  return {
    api: `http://127.0.0.1:${(network.address() as AddressInfo).port}${target.pathname}`,
    /** The heads of what came, each as often as it came. */
    requests,
    /** The keys of the changes that came. */
    keys: () => requests.map((head) => /^idempotency-key: (.*)\r$/im.exec(head)?.[1]),
  }
}
