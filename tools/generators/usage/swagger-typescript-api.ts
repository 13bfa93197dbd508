import { Api, type LoginUserRequest, type UpdateUserRequest } from '../generated/swagger-typescript-api/api'
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

export async function journey(api: string): Promise<Journey> {
  const client = new Api<string>({
    baseUrl: api,
    // The client calls it where the contract has security on the operation, and nowhere else.
    securityWorker: (token) => (token ? { headers: { Authorization: `Bearer ${token}` } } : {}),
  })

  const page = (await client.articles.getArticles({ limit: 1, offset: 0 })).data
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const anonymous = (await client.articles.getArticle(slug)).data.article.favorited

  client.setSecurityData((await client.users.login({ user: credentials })).data.user.token)
  const { username } = having<User>()((await client.user.getCurrentUser()).data.user)

  await client.articles.createArticleFavorite(slug)
  const { article } = (await client.articles.getArticle(slug)).data
  having<Article>()(article)
  having<Profile>()(article.author)

  const { bio } = (await client.user.updateCurrentUser({ user: { bio: null } })).data.user

  const created = (await client.articles.createArticle({ article: draft })).data.article
  nothing((await client.articles.deleteArticle(created.slug)).data)
  // An error is thrown, and TypeScript types nothing that is; the generator declares it as a member of the answer.
  type Answer = Awaited<ReturnType<typeof client.articles.getArticle>>
  const { error } = await client.articles.getArticle(created.slug).catch((answer: Answer) => answer)
  const { errors } = having<Failure>()(error)

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: created.tagList,
    errors,
  }
}
