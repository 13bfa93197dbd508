import { expect, test } from '@conduit/client/testing/playwright'

for (const turn of [1, 2, 3, 4]) {
  test(`jake is new, each time (${turn})`, async ({ world }) => {
    expect(await world.register('jake')).toMatchObject({ username: 'jake' })
    expect(await world.state()).toMatchObject({ seed: 7, demo: true })
  })
}
