import { createConduitClient } from '@conduit/client'

test('a component under test reads tags', async () => {
  const conduit = createConduitClient({ baseUrl: process.env.CONDUIT_API! })
  const result = await conduit.GET('/tags')
  expect(result.ok && result.data.tags.length).toBeGreaterThan(0)
})
