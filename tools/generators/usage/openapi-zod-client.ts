import { isErrorFromAlias } from '@zodios/core'
import type { z } from 'zod'

import { createApiClient, schemas } from '../generated/openapi-zod-client/api'
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

export const unchanged: z.input<typeof schemas.UpdateUserRequest> = { user: {} }
// @ts-expect-error A password is required.
export const incomplete: z.input<typeof schemas.LoginUserRequest> = { user: { email: credentials.email } }

// tour calls what the journey leaves out, so that zod sees those answers as well.
async function tour(client: ReturnType<typeof createApiClient>, slug: string) {
  const jake = { username: 'jake', email: 'jake@example.com', password: 'jakes secret' }
  const { token } = (await client.createUser({ user: jake })).user
  const asJake = { headers: { Authorization: `Bearer ${token}` } }
  await client.createArticle({ article: draft }, asJake)
  const author = { params: { username: jake.username } }
  await client.getProfileByUsername(author)
  await client.followUserByUsername(undefined, author)
  given((await client.getArticlesFeed({ queries: { limit: 1 } })).articles[0])
  await client.unfollowUserByUsername(undefined, author)
  await client.deleteCurrentUser({ user: { password: jake.password } }, asJake)

  const params = { slug }
  await client.updateArticle({ article: { body: draft.description } }, { params })
  await client.createArticleFavorite(undefined, { params })
  await client.deleteArticleFavorite(undefined, { params })
  const { comment } = await client.createArticleComment({ comment: { body: draft.body } }, { params })
  await client.getArticleComments({ params })
  await client.deleteArticleComment(undefined, { params: { ...params, commentId: comment.id } })
  await client.getTags()
  await client.getJwks()

  const { session } = await client.createSession({ session: credentials })
  await client.refreshSession({ session: { refreshToken: session.refreshToken } })
  await client.getSessions()
  await client.deleteSession(undefined, { params: { sessionId: session.id } })
  await client.deleteOtherSessions(undefined)
}

// Every answer here is checked against the contract by zod, and what breaks it is thrown.
export async function journey(api: string): Promise<Journey> {
  // Proxies that the environment names are not asked.
  const client = createApiClient(api, { axiosConfig: { proxy: false } })

  const page = await client.getArticles({ queries: { limit: 1, offset: 0 } })
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const anonymous = (await client.getArticle({ params: { slug } })).article.favorited

  const { token } = (await client.login({ user: credentials })).user
  client.axios.defaults.headers.common.Authorization = `Bearer ${token}`
  const { username } = having<User>()((await client.getCurrentUser()).user)

  await client.createArticleFavorite(undefined, { params: { slug } })
  const { article } = await client.getArticle({ params: { slug } })
  having<Article>()(article)
  having<Profile>()(article.author)

  const { bio } = (await client.updateCurrentUser({ user: { bio: null } })).user

  const created = (await client.createArticle({ article: draft })).article
  const params = { slug: created.slug }
  await tour(client, created.slug)
  nothing(await client.deleteArticle(undefined, { params }))
  const error: unknown = await client.getArticle({ params }).catch((thrown: unknown) => thrown)
  if (!isErrorFromAlias(client.api, 'getArticle', error) || error.response.status !== 404) {
    throw error
  }
  const { errors } = having<Failure>()(error.response.data)

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: created.tagList,
    errors,
  }
}
