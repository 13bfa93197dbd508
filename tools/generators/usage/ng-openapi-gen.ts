import '@angular/compiler' // Angular's build compiles the services beforehand; Node.js does it as they load

import {
  HttpClient,
  HttpErrorResponse,
  type HttpInterceptorFn,
  provideHttpClient,
  withFetch,
  withInterceptors,
} from '@angular/common/http'
import {
  createEnvironmentInjector,
  type EnvironmentInjector,
  Injector,
  provideZonelessChangeDetection,
  ɵINJECTOR_SCOPE,
} from '@angular/core'

import { Api } from '../generated/ng-openapi-gen/api'
import { ApiConfiguration } from '../generated/ng-openapi-gen/api-configuration'
import {
  createArticle,
  createArticleFavorite,
  deleteArticle,
  getArticle,
  getArticles,
  getCurrentUser,
  login,
  updateCurrentUser,
} from '../generated/ng-openapi-gen/functions'
import type { ErrorEnvelope, LoginUserRequest, UpdateUserRequest } from '../generated/ng-openapi-gen/models'
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
  let token = ''
  const authorize: HttpInterceptorFn = (request, next) =>
    next(token ? request.clone({ setHeaders: { Authorization: `Bearer ${token}` } }) : request)
  const injector = createEnvironmentInjector(
    [
      provideHttpClient(withFetch(), withInterceptors([authorize])),
      // What bootstrapApplication provides in a browser.
      { provide: ɵINJECTOR_SCOPE, useValue: 'root' },
      provideZonelessChangeDetection(),
    ],
    Injector.NULL as EnvironmentInjector,
  )
  // In a component: inject(Api). Angular's build says what a constructor takes; esbuild does not.
  const configuration = Object.assign(new ApiConfiguration(), { rootUrl: api })
  const client = new Api(configuration, injector.get(HttpClient))

  const page = await client.invoke(getArticles, { limit: 1, offset: 0 })
  having<Page>()(page)
  const { slug } = having<ArticleSummary>()(given(page.articles[0]))
  const anonymous = (await client.invoke(getArticle, { slug })).article.favorited

  token = (await client.invoke(login, { body: { user: credentials } })).user.token
  const { username } = having<User>()((await client.invoke(getCurrentUser)).user)

  await client.invoke(createArticleFavorite, { slug })
  const { article } = await client.invoke(getArticle, { slug })
  having<Article>()(article)
  having<Profile>()(article.author)

  const { bio } = (await client.invoke(updateCurrentUser, { body: { user: { bio: null } } })).user

  const created = (await client.invoke(createArticle, { body: { article: draft } })).article
  nothing(await client.invoke(deleteArticle, { slug: created.slug }))
  const refused: unknown = await client.invoke(getArticle, { slug: created.slug }).catch((error: unknown) => error)
  if (!(refused instanceof HttpErrorResponse)) {
    throw refused
  }
  const envelope: ErrorEnvelope = refused.error // any: HttpClient knows no types of errors
  const { errors } = having<Failure>()(envelope)

  return {
    listed: page.articles.length,
    username,
    favorited: { anonymous, loggedIn: article.favorited },
    bio,
    tagList: created.tagList,
    errors,
  }
}
