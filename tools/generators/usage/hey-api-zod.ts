import {
  createArticle,
  createArticleFavorite,
  deleteArticle,
  getArticle,
  getArticles,
  getCurrentUser,
  login,
  type LoginUserRequest,
  updateCurrentUser,
  type UpdateUserRequest,
} from '../generated/hey-api-zod'
import { client } from '../generated/hey-api-zod/client.gen'
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

export const unchanged: UpdateUserRequest = { user: {} }
// @ts-expect-error A password is required.
export const incomplete: LoginUserRequest = { user: { email: credentials.email } }

// Transformers turn times into Dates, and say so in the types.
type Dated<T> = Omit<T, 'createdAt' | 'updatedAt'> & { createdAt: Date; updatedAt: Date }

export async function journey(api: string): Promise<Journey> {
  let token: string | undefined
  // The client asks for the token where the contract has security on the operation, and nowhere else.
  client.setConfig({ baseUrl: api, auth: () => token })

  const page = given((await getArticles({ query: { limit: 1, offset: 0 } })).data)
  having<Page>()(page)
  const { slug } = having<Dated<ArticleSummary>>()(given(page.articles[0]))
  const anonymous = given((await getArticle({ path: { slug } })).data).article.favorited

  token = given((await login({ body: { user: credentials } })).data).user.token
  const { username } = having<User>()(given((await getCurrentUser()).data).user)

  await createArticleFavorite({ path: { slug } })
  const { article } = given((await getArticle({ path: { slug } })).data)
  having<Dated<Article>>()(article)
  having<Profile>()(article.author)
  if (Number.isNaN(article.createdAt.getTime())) {
    throw new Error('a time is no date')
  }

  const { bio } = given((await updateCurrentUser({ body: { user: { bio: null } } })).data).user

  const created = given((await createArticle({ body: { article: draft } })).data).article
  const own = { path: { slug: created.slug } }
  nothing((await deleteArticle(own)).data)
  const { error } = await getArticle(own)
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
