import { useQuery } from '@tanstack/react-query'

import { type ApiClient, createApiClient, type Endpoints, type Schemas } from '../generated/typed-openapi/api'
import { TanstackQueryApiClient } from '../generated/typed-openapi/tanstack'
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

export const unchanged: Schemas.UpdateUserRequest = { user: {} }
// @ts-expect-error A password is required.
export const incomplete: Schemas.LoginUserRequest = { user: { email: credentials.email } }

// Hooks run in components only; this one is compiled.
export function useTitle(client: ApiClient, slug: string) {
  const { queryOptions } = new TanstackQueryApiClient(client).get('/articles/{slug}', { path: { slug } })
  return useQuery(queryOptions).data?.article.title
}

export async function journey(api: string): Promise<Journey> {
  let token = ''
  const client = createApiClient(
    {
      fetch: ({ method, url, urlSearchParams, parameters }) => {
        url.search = urlSearchParams?.toString() ?? ''
        return fetch(url, {
          method: method.toUpperCase(),
          headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
          ...(parameters?.body !== undefined && { body: JSON.stringify(parameters.body) }),
        })
      },
    },
    api,
  )

  const query: Endpoints.get_GetArticles['parameters']['query'] = { limit: 1, offset: 0 }
  const page = await client.get('/articles', { query })
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const anonymous = (await client.get('/articles/{slug}', { path: { slug } })).article.favorited

  token = (await client.post('/users/login', { body: { user: credentials } })).user.token
  const { username } = having<User>()((await client.get('/user')).user)

  await client.post('/articles/{slug}/favorite', { path: { slug } })
  const { article } = await client.get('/articles/{slug}', { path: { slug } })
  having<Article>()(article)
  having<Profile>()(article.author)

  const { bio } = (await client.put('/user', { body: { user: { bio: null } } })).user

  const created = (await client.post('/articles', { body: { article: draft } })).article
  const path = { slug: created.slug }
  nothing(await client.delete('/articles/{slug}', { path }))
  const answer = await client.get('/articles/{slug}', { path, withResponse: true })
  if (answer.status !== 404) {
    throw new Error(`${answer.status} instead of 404`)
  }
  const { errors } = having<Failure>()(answer.data)

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: created.tagList,
    errors,
  }
}
