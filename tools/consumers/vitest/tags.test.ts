import { createConduitClient } from '@conduit/client'
import { http, HttpResponse, passthrough } from 'msw'
import { setupServer } from 'msw/node'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

const api = process.env.CONDUIT_API!
const server = setupServer(http.all('*', () => passthrough()))
beforeAll(() => server.listen())
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

test('the server answers where nothing is mocked', async () => {
  const result = await createConduitClient({ baseUrl: api }).GET('/tags')
  expect(result.ok && result.data.tags.length).toBeGreaterThan(0)
})

test('a mock answers, and the client holds it to the contract', async () => {
  const conduit = createConduitClient({ baseUrl: api })
  server.use(http.get(`${api}/tags`, () => HttpResponse.json({ tags: ['mocked'] })))
  expect(await conduit.GET('/tags')).toMatchObject({ ok: true, data: { tags: ['mocked'] } })
  server.use(http.get(`${api}/tags`, () => new HttpResponse('no such thing', { status: 418 })))
  await expect(conduit.GET('/tags')).rejects.toThrow('418')
})
