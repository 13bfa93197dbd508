// What the types promise, as a project sees it that installed the package. It is compiled and never run: it stops
// compiling when narrowing is lost, and where an error is expected and there is none.
import {
  createConduitClient,
  type Article,
  type ArticleSummary,
  type Comment,
  type ErrorEnvelope,
  type Errors,
  type operations,
  type paths,
  type Profile,
  type Result,
  type Session,
  type SessionTokens,
  type Tokens,
  type User,
} from '@conduit/client'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>) => undefined
const never = (_: never) => undefined

const conduit = createConduitClient({ baseUrl: '/api', token: null })
const params = { path: { slug: 'how-to-train-your-dragon' } }
const credentials = { email: 'jake@example.com', password: 'jakes secret' }

export async function statuses() {
  const article = await conduit.GET('/articles/{slug}', { params })
  same<typeof article, Result<operations['getArticle']>>(true)
  same<typeof article, Result<paths['/articles/{slug}']['get']>>(true)
  same<(typeof article)['status'], 200 | 304 | 404 | 422 | 500 | 503>(true)

  const deleted = await conduit.DELETE('/articles/{slug}', { params })
  same<(typeof deleted)['status'], 204 | 401 | 403 | 404 | 422 | 500 | 503>(true)
  if (deleted.ok) {
    same<typeof deleted.status, 204>(true)
    same<typeof deleted.data, undefined>(true)
  } else {
    same<typeof deleted.error, ErrorEnvelope>(true)
  }
}

export async function bySwitch() {
  const result = await conduit.GET('/articles/{slug}', { params })
  switch (result.status) {
    case 200:
      same<typeof result.data.article, Article>(true)
      same<typeof result.ok, true>(true)
      same<typeof result.error, undefined>(true)
      return result.data.article.title
    case 304:
      same<typeof result.data, undefined>(true)
      same<typeof result.error, undefined>(true)
      return undefined
    case 404:
    case 422:
    case 500:
    case 503:
      same<typeof result.error.errors, Errors>(true)
      same<typeof result.data, undefined>(true)
      return result.error.errors.article?.[0]
    default:
      return never(result)
  }
}

export async function notExhaustive() {
  const result = await conduit.GET('/articles/{slug}', { params })
  switch (result.status) {
    case 200:
    case 304:
    case 404:
    case 422:
    case 500:
      return result.ok
    default:
      // @ts-expect-error 503 is missing
      return never(result)
  }
}

export async function byOk() {
  const login = await conduit.POST('/users/login', { body: { user: credentials } })
  // @ts-expect-error not known yet whether there is any
  void login.data.user
  if (login.ok) {
    same<typeof login.data.user, User>(true)
    conduit.tokens.set(login.data.user)
  } else if (login.status === 422) {
    same<Errors[string], string[]>(true)
    return login.error.errors.email?.[0]
  } else {
    same<typeof login.status, 400 | 401 | 403 | 408 | 413 | 415 | 429 | 500 | 503>(true)
    // @ts-expect-error failures have none
    void login.data.user
  }

  // @ts-expect-error login has no 404
  void (login.status === 404)

  const session = await conduit.POST('/sessions', { body: { session: credentials } })
  if (session.status === 201) {
    same<typeof session.data.session, SessionTokens>(true)
    conduit.tokens.set(session.data.session)
  }
  if (session.status === 202) {
    same<typeof session.data.challenge.token, string>(true)
  }
  same<typeof conduit.tokens.current, Tokens | undefined>(true)
  return undefined
}

export async function names() {
  const list = await conduit.GET('/articles', { params: { query: { tag: 'dragons', limit: 5 } } })
  if (list.ok) {
    same<typeof list.data.articles, ArticleSummary[]>(true)
    same<typeof list.data.nextCursor, string | null>(true)
    // @ts-expect-error lists leave out the body
    void list.data.articles[0]?.body
  }
  const comments = await conduit.GET('/articles/{slug}/comments', { params })
  if (comments.ok) {
    same<typeof comments.data.comments, Comment[]>(true)
  }
  const profile = await conduit.GET('/profiles/{username}', { params: { path: { username: 'jake' } } })
  if (profile.ok) {
    same<typeof profile.data.profile, Profile>(true)
  }
  const sessions = await conduit.GET('/user/sessions')
  if (sessions.ok) {
    same<typeof sessions.data.sessions, Session[]>(true)
  }
  const head = await conduit.HEAD('/articles/{slug}', { params, signal: AbortSignal.timeout(1000) })
  same<typeof head.data, undefined>(true)
  same<typeof head.error, undefined>(true)
  same<(typeof head)['status'], 200 | 304 | 404 | 422 | 500 | 503>(true)
}

export function refusedByTheCompiler() {
  // @ts-expect-error the server's address is needed
  createConduitClient({})
  // @ts-expect-error no such path
  void conduit.GET('/nowhere')
  // @ts-expect-error the path has no PUT
  void conduit.PUT('/articles')
  // @ts-expect-error the slug is needed
  void conduit.GET('/articles/{slug}')
  // @ts-expect-error the body is needed
  void conduit.POST('/users/login')
  // @ts-expect-error so is the password
  void conduit.POST('/users/login', { body: { user: { email: 'jake@example.com' } } })
  // @ts-expect-error no such parameter
  void conduit.GET('/articles', { params: { query: { page: 2 } } })
  // @ts-expect-error the operation takes no body
  void conduit.POST('/users/logout', { body: {} })
  // @ts-expect-error calls go to the client's server, with its tokens
  void conduit.GET('/tags', { baseUrl: 'https://elsewhere.example.com' })
  // @ts-expect-error a token is needed
  conduit.tokens.set({ refreshToken: '6DU6SQDSNCEOUM77E6AUP5IW4P.0.GQ5XV2WQ7Z.c2ln' })
}
