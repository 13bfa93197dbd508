import { expect, test } from 'vitest'

import { client, publish, register } from './people.js'
import { wire } from './wire.js'

/** A client whose changes are answered with these positions, and what its reads have sent. */
async function positioned(...positions: (string | null | Error)[]) {
  const author = await register()
  const slug = await publish(author)
  const shown: (string | null)[] = []
  const { fetch } = wire(async (request, pass) => {
    if (request.method === 'GET') {
      shown.push(request.headers.get('Conduit-Position'))
      return pass()
    }
    const position = positions.shift()
    const response = await pass()
    if (position instanceof Error) {
      throw position
    }
    const headers = new Headers(response.headers)
    if (position) {
      headers.set('Conduit-Position', position)
    }
    return new Response(response.body, { status: response.status, headers })
  })
  const conduit = client({ tokens: author, fetch })
  const params = { path: { slug } }
  return {
    shown,
    read: () => conduit.GET('/articles/{slug}', { params }),
    change: () => conduit.POST('/articles/{slug}/favorite', { params }),
    refused: () => conduit.POST('/articles/{slug}/favorite', { params: { path: { slug: 'none' } } }),
  }
}

test('reads show what the last change has left', async () => {
  const { shown, read, change } = await positioned('a-1')
  await read()
  await change()
  await read()
  await read()
  expect(shown).toEqual([null, 'a-1', 'a-1'])
})

test('the latest of several positions counts, in whatever order they come', async () => {
  const { shown, read, change } = await positioned('a-2', 'a-1', 'a-3')
  for (let n = 0; n < 3; n++) {
    await change()
    await read()
  }
  expect(shown).toEqual(['a-2', 'a-2', 'a-3'])
})

test('a change without a position, or without an answer, leaves it to the server', async () => {
  const { shown, read, change } = await positioned('a-1', null, 'a-2', new Error('lost'))
  await change()
  await read()
  await change()
  await read()
  await change()
  await read()
  await expect(change()).rejects.toThrow('lost')
  await read()
  expect(shown).toEqual(['a-1', null, 'a-2', null])
})

test('a change that was refused changes nothing', async () => {
  const { shown, read, change, refused } = await positioned('a-1', null)
  await change()
  expect(await refused()).toMatchObject({ status: 404 })
  await read()
  expect(shown).toEqual(['a-1'])
})
