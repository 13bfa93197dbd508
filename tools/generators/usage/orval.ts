import {
  createArticle,
  createArticleFavorite,
  deleteArticle,
  getArticle,
  getArticles,
  getConduitMock,
  getCurrentUser,
  login,
  type LoginUserRequest,
  updateCurrentUser,
  type UpdateUserRequest,
} from '../generated/orval/fetch'
import { useCreateArticle, useGetArticle } from '../generated/orval/react-query'
import * as zod from '../generated/orval/zod'
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
import { session } from './orval-fetch'

export const unchanged: UpdateUserRequest = { user: {} }
// @ts-expect-error A password is required.
export const incomplete: LoginUserRequest = { user: { email: credentials.email } }

export const mocks = getConduitMock

// Hooks run in components only; this one is compiled.
export function useEditor(slug: string) {
  const { data } = useGetArticle(slug)
  const create = useCreateArticle()
  return {
    title: data?.status === 200 ? data.data.article.title : undefined,
    save: () => create.mutate({ data: { article: draft } }),
  }
}

// answered gives the body of an answer with that status, by which orval tells the types of bodies apart.
function answered<T extends { status: number; data: unknown }, S extends T['status']>(answer: T, status: S) {
  if (answer.status !== status) {
    throw new Error(`${answer.status} instead of ${status}`)
  }
  return (answer as Extract<T, { status: S }>).data as Extract<T, { status: S }>['data']
}

export async function journey(api: string): Promise<Journey> {
  session.api = api

  const page = answered(await getArticles({ limit: 1, offset: 0 }), 200)
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const anonymous = answered(await getArticle(slug), 200).article.favorited

  session.token = answered(await login({ user: credentials }), 200).user.token
  const { username } = having<User>()(answered(await getCurrentUser(), 200).user)

  await createArticleFavorite(slug)
  const { article } = answered(await getArticle(slug), 200)
  having<Article>()(article)
  having<Profile>()(article.author)

  const { bio } = answered(await updateCurrentUser({ user: { bio: null } }), 200).user

  const created = answered(await createArticle({ article: draft }), 201).article
  nothing(answered(await deleteArticle(created.slug), 204))
  const { errors } = having<Failure>()(answered(await getArticle(created.slug), 404))

  // The same answers to orval's schemas for zod, which throw at what is not in the contract.
  zod.getArticlesResponse.parse(page)
  having<Article>()(zod.getArticleResponse.parse({ article }).article)

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: created.tagList,
    errors,
  }
}
