import { setConfig } from '../generated/kubb/.kubb/fetch'
import {
  createArticle,
  createArticleFavorite,
  deleteArticle,
  getArticle,
  getArticles,
  getCurrentUser,
  login,
  updateCurrentUser,
} from '../generated/kubb/clients'
import { handlers } from '../generated/kubb/handlers/handlers'
import type { ErrorEnvelope, LoginUserRequest, UpdateUserRequest } from '../generated/kubb/types'
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

export const unchanged: UpdateUserRequest = { user: {} }
// @ts-expect-error A password is required.
export const incomplete: LoginUserRequest = { user: { email: credentials.email } }

export const mocks = () => handlers

export async function journey(api: string): Promise<Journey> {
  const headers = { 'Content-Type': 'application/json' } // which the client that comes with it leaves to us
  setConfig({ baseURL: api, headers })

  const page = await getArticles({ limit: 1, offset: 0 })
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const anonymous = (await getArticle(slug)).article.favorited

  const { token } = (await login({ user: credentials })).user
  setConfig({ baseURL: api, headers: { ...headers, Authorization: `Bearer ${token}` } })
  const { username } = having<User>()((await getCurrentUser()).user)

  await createArticleFavorite(slug)
  const { article } = await getArticle(slug)
  having<Article>()(article)
  having<Profile>()(article.author)

  const { bio } = (await updateCurrentUser({ user: { bio: null } })).user

  const created = (await createArticle({ article: draft })).article
  await deleteArticle(created.slug)
  // The client that comes with it gives an error as if it was the answer: real ones bring their own, which throws.
  const refused: unknown = await getArticle(created.slug)
  const { errors } = having<Failure>()(refused as ErrorEnvelope)

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: created.tagList,
    errors,
  }
}
