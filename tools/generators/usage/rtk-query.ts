import { configureStore } from '@reduxjs/toolkit'

import {
  conduit,
  type ErrorEnvelope,
  type LoginUserRequest,
  type UpdateUserRequest,
  useCreateArticleMutation,
  useGetArticleQuery,
} from '../generated/rtk-query/api'
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
import { session } from './rtk-query-base'

export const unchanged: UpdateUserRequest = { user: {} }
// @ts-expect-error A password is required.
export const incomplete: LoginUserRequest = { user: { email: credentials.email } }

// Hooks run in components only; this one is compiled.
export function useEditor(slug: string) {
  const { data } = useGetArticleQuery({ slug })
  const [create] = useCreateArticleMutation()
  return { title: data?.article.title, save: () => create({ newArticleRequest: { article: draft } }) }
}

export async function journey(api: string): Promise<Journey> {
  session.api = api
  const store = configureStore({
    reducer: { [conduit.reducerPath]: conduit.reducer },
    middleware: (defaults) => defaults().concat(conduit.middleware),
  })
  const once = { subscribe: false, forceRefetch: true }
  const { getArticles, getArticle, getCurrentUser, login, updateCurrentUser } = conduit.endpoints
  const { createArticle, createArticleFavorite, deleteArticle } = conduit.endpoints

  const page = await store.dispatch(getArticles.initiate({ limit: 1, offset: 0 }, once)).unwrap()
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const anonymous = (await store.dispatch(getArticle.initiate({ slug }, once)).unwrap()).article.favorited

  session.token = (
    await store.dispatch(login.initiate({ loginUserRequest: { user: credentials } })).unwrap()
  ).user.token
  const { username } = having<User>()((await store.dispatch(getCurrentUser.initiate(undefined, once)).unwrap()).user)

  await store.dispatch(createArticleFavorite.initiate({ slug })).unwrap()
  const { article } = await store.dispatch(getArticle.initiate({ slug }, once)).unwrap()
  having<Article>()(article)
  having<Profile>()(article.author)

  const update = { updateUserRequest: { user: { bio: null } } }
  const { bio } = (await store.dispatch(updateCurrentUser.initiate(update)).unwrap()).user

  const created = (await store.dispatch(createArticle.initiate({ newArticleRequest: { article: draft } })).unwrap())
    .article
  const own = { slug: created.slug }
  await store.dispatch(deleteArticle.initiate(own)).unwrap() // unknown, as RTK Query types what has no body
  const { error } = await store.dispatch(getArticle.initiate(own, once))
  if (!error || !('data' in error)) {
    throw new Error('a deleted article is no error')
  }
  // RTK Query gives errors the type of the base query, and the generated types leave it to the front end to say what is in them.
  const { errors } = having<Failure>()(error.data as ErrorEnvelope)
  store.dispatch(conduit.util.resetApiState()) // or timers of the cache keep the process alive

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: created.tagList,
    errors,
  }
}
