import { test } from '@conduit/client/testing/vitest'
import { expect } from 'vitest'

for (const turn of [1, 2]) {
  test(`jake is new, each time (${turn})`, async ({ world }) => {
    expect(await world.register('jake')).toMatchObject({ username: 'jake' })
  })
}
