import { expect, test } from 'vitest'

import { fieldsOf } from '../src/index.js'
import { client, register, somebody } from './people.js'
import { wire } from './wire.js'

test('a failed call has its problem beside its error, which is what it always is', async () => {
  const body = { user: { ...somebody(), email: 'nobody' } }
  const plain = await client().POST('/users', { body })
  const result = await client({ problems: true }).POST('/users', { body })
  expect(result.error).toEqual(plain.error)
  expect(plain.problem).toBeUndefined()
  const requestId = result.response.headers.get('X-Request-Id')
  expect(result.problem).toEqual({
    type: '/docs/errors#invalid',
    title: 'The request is not valid',
    status: 422,
    detail: 'email is not a valid email',
    instance: `urn:x-request-id:${requestId}`,
    errors: [{ field: 'email', detail: 'is not a valid email', pointer: '/user/email' }],
  })
})

test('each element that is wrong has a message', async () => {
  const conduit = client({ tokens: await register(), problems: true })
  const article = { title: 'x', description: 'y', body: 'z', tagList: ['good', ' ', 'better', ''] }
  const result = await conduit.POST('/articles', { body: { article } })
  expect(result.problem?.errors.map(({ pointer }) => pointer)).toEqual(['/article/tagList/1', '/article/tagList/3'])
  expect(result.error?.errors).toEqual({ tagList: ["item 2 can't be blank", "item 4 can't be blank"] })
})

test('good answers, and answers without a body, are as they are', async () => {
  const conduit = client({ problems: true })
  const tags = await conduit.GET('/tags')
  expect(tags).toMatchObject({ ok: true, data: { tags: expect.any(Array) } })
  expect('problem' in tags).toBe(false)
  const params = { path: { slug: 'none' } }
  expect(await conduit.HEAD('/articles/{slug}', { params })).toMatchObject({ status: 404, error: undefined })
  const etag = tags.response.headers.get('ETag')
  expect(await conduit.GET('/tags', { headers: { 'If-None-Match': etag } })).toMatchObject({ status: 304 })
})

test('OAuth has errors of its own', async () => {
  const result = await client({ problems: true }).POST('/introspect', { body: { token: 'x' } })
  expect(result).toMatchObject({ status: 401, error: { error: 'invalid_client' } })
})

test('a refresh token that is refused ends the session all the same', async () => {
  const tokens = { token: 'stale', refreshToken: 'none' }
  const conduit = client({ tokens, problems: true })
  expect(await conduit.GET('/user')).toMatchObject({ status: 401, error: { errors: { token: ['is invalid'] } } })
  expect(conduit.tokens.current).toBeUndefined()
})

test('a server that knows no problems answers as ever', async () => {
  const errors = { article: ['not found'] }
  const { fetch } = wire(async () => Response.json({ errors }, { status: 404 }))
  const result = await client({ fetch, problems: true }).GET('/articles/{slug}', { params: { path: { slug: 'x' } } })
  expect(result).toMatchObject({ status: 404, error: { errors } })
  expect(result.problem).toBeUndefined()
})

test('what is no problem, though it says so, is unexpected', async () => {
  const headers = { 'Content-Type': 'application/problem+json' }
  const { fetch } = wire(async () => Response.json({ title: 'Not Found' }, { status: 404, headers }))
  const call = client({ fetch, problems: true }).GET('/articles/{slug}', { params: { path: { slug: 'x' } } })
  await expect(call).rejects.toMatchObject({ name: 'UnexpectedResponseError', status: 404 })
})

test('whoever fetches without the client reads the fields of either shape', () => {
  const errors = { email: ['is not a valid email'] }
  expect(fieldsOf({ errors })).toBe(errors)
})
