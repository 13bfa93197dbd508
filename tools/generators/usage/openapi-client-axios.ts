import { isAxiosError } from 'axios'
import { OpenAPIClientAxios } from 'openapi-client-axios'

import type { Client, Components } from '../generated/openapi-client-axios/client'
import {
  type Article,
  type ArticleSummary,
  credentials,
  draft,
  type Failure,
  given,
  having,
  type Journey,
  type Page,
  type Profile,
  type User,
} from './journey'

export const unchanged: Components.Schemas.UpdateUserRequest = { user: {} }
// @ts-expect-error A password is required.
export const incomplete: Components.Schemas.LoginUserRequest = { user: { email: credentials.email } }

// The generator writes an array that has maxItems as a tuple of as many optional members.
type Untupled<T> = Omit<T, 'tagList' | 'errors'>
const listed = (tuple: readonly (string | undefined)[]) => tuple.map(given)

export async function journey(api: string): Promise<Journey> {
  // The client reads the contract while it runs, here from the server.
  const definition = new URL('/openapi.json', api).href
  const client = await new OpenAPIClientAxios({ definition, withServer: { url: api } }).getClient<Client>()

  const page = (await client.getArticles({ limit: 1, offset: 0 })).data
  having<Page>()(page)
  const { slug } = having<Untupled<ArticleSummary>>()(given(page.articles[0]))
  const anonymous = (await client.getArticle({ slug })).data.article.favorited

  const { token } = (await client.login(null, { user: credentials })).data.user
  client.defaults.headers.common.Authorization = `Bearer ${token}`
  const { username } = having<User>()((await client.getCurrentUser()).data.user)

  await client.createArticleFavorite({ slug })
  const { article } = (await client.getArticle({ slug })).data
  having<Untupled<Article>>()(article)
  having<Profile>()(article.author)

  const { bio } = (await client.updateCurrentUser(null, { user: { bio: null } })).data.user

  const created = (await client.createArticle(null, { article: { ...draft, tagList: ['clients', 'types'] } })).data
    .article
  const own = { slug: created.slug }
  await client.deleteArticle(own)
  // What is thrown has no type; the contract's says what an error answer has.
  const refused: unknown = await client.getArticle(own).catch((error: unknown) => error)
  if (!isAxiosError<Components.Schemas.ErrorEnvelope>(refused)) {
    throw refused
  }
  const { errors } = having<Untupled<Failure>>()(given(refused.response).data)

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: listed(created.tagList),
    errors: Object.fromEntries(Object.entries(errors).map(([field, messages]) => [field, listed(messages)])),
  }
}
