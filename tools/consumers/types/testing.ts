import { createWorld, startServer, type Fault, type World } from '@conduit/client/testing'

const faults: Fault[] = [{ operationId: 'getTags', status: 503, times: 2 }]

export async function world(): Promise<World> {
  const made = await createWorld({ seed: 7, at: new Date() }, await startServer())
  await made.faults.set(faults)
  const john = await made.loginAs('johndoe')
  const result = await john.client.GET('/user')
  return result.ok ? made : world()
}

// @ts-expect-error an operation that is not in the contract
faults.push({ operationId: 'readMind', status: 503 })
