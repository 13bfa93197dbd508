import { createWorld, startServer, type World } from '@conduit/client/testing'
import { test } from '@conduit/client/testing/vitest'
import { expect } from 'vitest'

import { keepWorlds } from '../../src/testing/keeper.js'

const seeded = test.extend({ worldOptions: { seed: 9, at: '2026-01-02T12:00:00Z', demo: false } })

seeded('a test says what its world begins with', async ({ world }) => {
  expect(await world.state()).toMatchObject({ seed: 9, at: '2026-01-02T12:00:00.000Z', demo: false })
})

const seen: World[] = []
for (const turn of [1, 2]) {
  test(`each test has a world of its own, which ends with it (${turn})`, async ({ world }) => {
    await world.register('jake')
    for (const earlier of seen) {
      await expect(earlier.state()).rejects.toMatchObject({ status: 404 })
    }
    seen.push(world)
  })
}

test('a worker has one world for each set of options, as it was made, until it ends', async ({ conduit }) => {
  const worlds = keepWorlds(conduit, 'worker')
  const lent: World[] = []
  for (const seed of [7, 7, 8]) {
    await worlds.lend({ seed }, async (world) => {
      lent.push(world)
      await world.register('jake')
    })
  }
  const [first, second, third] = lent
  expect(second).toBe(first)
  expect(third).not.toBe(first)

  // It ends by itself when nobody uses it, and the next test gets another one.
  await first!.delete()
  await worlds.lend({ seed: 7 }, async (world) => {
    expect(world).not.toBe(first)
    await worlds.end()
    await expect(world.state()).rejects.toMatchObject({ status: 404 })
  })
  await expect(third!.state()).rejects.toMatchObject({ status: 404 })
})

test('a server that ends what it has: the next worlds are refused in words', async () => {
  await using server = await startServer({ args: ['--worlds-limit=1'] })
  await createWorld({}, server)
  await expect(createWorld({}, server)).rejects.toThrow('No world could be made: 429 world too many worlds')
})
