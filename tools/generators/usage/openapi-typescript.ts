import createClient from 'openapi-fetch'

import type { components, operations, paths } from '../generated/openapi-typescript/schema'
import {
  type Article,
  type ArticleSummary,
  credentials,
  draft,
  type Failure,
  given,
  having,
  type Journey,
  nothing,
  type Page,
  type Profile,
  type User,
} from './journey'

export const unchanged: components['schemas']['UpdateUserRequest'] = { user: {} }
// @ts-expect-error A password is required.
export const incomplete: components['schemas']['LoginUserRequest'] = { user: { email: credentials.email } }

export async function journey(api: string): Promise<Journey> {
  const client = createClient<paths>({ baseUrl: api })

  const query: operations['getArticles']['parameters']['query'] = { limit: 1, offset: 0 }
  const page = given((await client.GET('/articles', { params: { query } })).data)
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const params = { path: { slug } }
  const anonymous = given((await client.GET('/articles/{slug}', { params })).data).article.favorited

  const { token } = given((await client.POST('/users/login', { body: { user: credentials } })).data).user
  client.use({
    onRequest: ({ request }) => request.headers.set('Authorization', `Bearer ${token}`),
  })
  const { username } = having<User>()(given((await client.GET('/user')).data).user)

  await client.POST('/articles/{slug}/favorite', { params })
  const { article } = given((await client.GET('/articles/{slug}', { params })).data)
  having<Article>()(article)
  having<Profile>()(article.author)

  const { bio } = given((await client.PUT('/user', { body: { user: { bio: null } } })).data).user

  const created = given((await client.POST('/articles', { body: { article: draft } })).data).article
  const own = { params: { path: { slug: created.slug } } }
  nothing((await client.DELETE('/articles/{slug}', own)).data)
  const { error } = await client.GET('/articles/{slug}', own)
  const { errors } = having<Failure>()(given(error))

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: created.tagList,
    errors,
  }
}
