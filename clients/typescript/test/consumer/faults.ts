// What the types of the test kit promise, in a project that knows neither Node.js nor a test runner. Compiled, never run.
import type { operations } from '@conduit/client'
import { createWorld, startServer, type Fault, type FaultOf, type StatusOf, type World } from '@conduit/client/testing'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>) => undefined

same<StatusOf<'getTags'>, keyof operations['getTags']['responses']>(true)
same<Fault['operationId'], keyof operations>(true)

export async function faults(world: World) {
  await world.faults.set([])
  await world.faults.set([
    { operationId: 'createArticle', status: 422, example: 'missing', times: 2 },
    { operationId: 'getTags', status: 503, delay: 1.5 },
    { operationId: 'getTags', delay: 1.5 },
    { operationId: 'createArticle', broken: 'after', delay: 1 },
  ])
  // @ts-expect-error an operation that the contract does not have
  await world.faults.set([{ operationId: 'readMind', status: 503 }])
  // @ts-expect-error a status that the contract does not document for any operation
  await world.faults.set([{ operationId: 'createArticle', status: 418 }])
  // @ts-expect-error a status that the contract documents, but for other operations
  await world.faults.set([{ operationId: 'getTags', status: 403 }])
  // @ts-expect-error an answer on a broken connection
  await world.faults.set([{ operationId: 'getTags', status: 503, broken: 'before' }])
  // @ts-expect-error a fault that does nothing
  await world.faults.set([{ operationId: 'getTags' }])
  // @ts-expect-error a member that no fault has
  await world.faults.set([{ operationId: 'getTags', status: 503, often: 2 }])
}

export const away: FaultOf<'getTags'> = { operationId: 'getTags', status: 503 }

export async function worlds() {
  const server = await startServer({ port: 3000, args: ['--worlds-limit=8'] })
  const world = await createWorld({ seed: 7, at: new Date(0), demo: false, frozen: false }, server)
  const john = await world.loginAs('johndoe', { kind: 'session' })
  const { ok, data } = await john.client.GET('/user')
  same<typeof ok, boolean>(true)
  same<NonNullable<typeof data>['user']['username'], string>(true)
  const at: Date = await world.clock.advance(60)
  // @ts-expect-error an option that worlds do not have
  await createWorld({ sed: 7 })
  // @ts-expect-error only Playwright's worlds have pages
  world.attach
  await world.delete()
  return at
}
