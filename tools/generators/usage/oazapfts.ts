import { ok } from '@oazapfts/runtime'

import {
  createArticle,
  createArticleFavorite,
  defaults,
  deleteArticle,
  getArticle,
  getArticles,
  getCurrentUser,
  login,
  type LoginUserRequest,
  updateCurrentUser,
  type UpdateUserRequest,
} from '../generated/oazapfts/api'
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

export async function journey(api: string): Promise<Journey> {
  defaults.baseUrl = api

  const page = await ok(getArticles({ limit: 1, offset: 0 }))
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const anonymous = (await ok(getArticle(slug))).article.favorited

  const { token } = (await ok(login({ user: credentials }))).user
  defaults.headers = { Authorization: `Bearer ${token}` } // with every operation: the client knows no security
  const { username } = having<User>()((await ok(getCurrentUser())).user)

  await ok(createArticleFavorite(slug))
  const { article } = await ok(getArticle(slug))
  having<Article>()(article)
  having<Profile>()(article.author)

  const { bio } = (await ok(updateCurrentUser({ user: { bio: null } }))).user

  const created = (await ok(createArticle({ article: draft }))).article
  await ok(deleteArticle(created.slug))
  const answer = await getArticle(created.slug)
  if (answer.status !== 404) {
    throw new Error(`the article is still there: ${answer.status}`)
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
