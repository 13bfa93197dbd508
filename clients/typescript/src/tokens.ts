import type { SessionTokens } from './schema.js'

/** What a client knows of a session. Plain data, so that an app can keep it as JSON. */
export interface Tokens {
  /** The token for the `Authorization` header, from `login`, `createUser`, `createSession`, `answerChallenge` or `refreshSession`. */
  token: string
  /** The newest refresh token. Without one the session ends with its token. */
  refreshToken?: string | undefined
  /** The session's id, by which newer tokens of the same session are told from those of another one. */
  sessionId?: string | undefined
}

/** The tokens that a client uses now. */
export interface TokenStore {
  /** The tokens in use; undefined while nobody is logged in. Newer ones are a new object. */
  readonly current: Tokens | undefined
  /**
   * Uses these tokens from the next call on. Takes what the server gave (`data.session` of `createSession` and
   * `answerChallenge`, `data.user` of `login` and `createUser`) and what {@link Tokens} an app has kept.
   *
   * Tokens with the `sessionId` of the present ones are newer tokens of the same session, as another tab got them.
   * Others begin a new session, and calls that are on their way are not repeated in it: it may be somebody else's.
   *
   * @throws TypeError if there is no token in it.
   */
  set(tokens: Tokens | SessionTokens): void
  /** Forgets the tokens; calls are anonymous from now on. Does not tell the server, which `POST /users/logout` does. */
  clear(): void
}

export interface Session {
  tokens: Tokens
  /** Aborts when another session, or none, takes its place. */
  readonly over: AbortController
  /** Ends when the refresh that is under way has been dealt with. */
  refreshing?: Promise<void> | undefined
  /** How many refreshes found no server that could tell. */
  failures: number
}

/** How a refresh went: newer tokens, or the server refuses the refresh token, or it could not be asked. */
export type Refreshed = SessionTokens | 'refused' | 'unanswered'

interface Duties {
  refresh: (refreshToken: string) => Promise<Refreshed>
  onTokens: (tokens: Tokens) => void
  onSignedOut: () => void
}

/**
 * Keeps tokens, puts them on requests and gets newer ones when the server says that they are no good. No clock has a
 * say in it, for the client's and the server's differ.
 */
export function keepTokens({ refresh, onTokens, onSignedOut }: Duties) {
  let current: Session | undefined

  function replace(next: Session | undefined) {
    const before = current
    current = next
    before?.over.abort()
  }

  const tokens: TokenStore = {
    get current() {
      return current?.tokens
    },
    set(given) {
      const next = tokensOf(given)
      if (next.token === current?.tokens.token && next.refreshToken === current.tokens.refreshToken) {
        return // Nothing newer: calls that are refused must not take it for that.
      }
      if (current && next.sessionId !== undefined && next.sessionId === current.tokens.sessionId) {
        current.tokens = next
      } else {
        replace({ tokens: next, over: new AbortController(), failures: 0 })
      }
    },
    clear() {
      replace(undefined)
    },
  }

  async function refreshSession(session: Session): Promise<void> {
    const used = session.tokens
    const outcome = used.refreshToken ? await refresh(used.refreshToken) : 'refused'
    if (session !== current || session.tokens !== used) {
      return // Logged out, logged in anew, or another tab's newer tokens came meanwhile: the answer is of no interest.
    }
    if (outcome === 'refused') {
      replace(undefined)
      report(onSignedOut)
    } else if (outcome === 'unanswered') {
      session.failures++
    } else {
      const next = tokensOf(outcome)
      session.tokens = next
      report(() => onTokens(next))
    }
  }

  /** Gives the session's tokens after those that were refused; undefined if there are none. */
  async function successor(session: Session, refused: Tokens, failures: number): Promise<Tokens | undefined> {
    // After a failed refresh the calls that were sent before do not each try again, so that a server in trouble is
    // asked once and not twenty times.
    if (session === current && session.tokens === refused && session.failures === failures) {
      session.refreshing ??= refreshSession(session).finally(() => (session.refreshing = undefined))
      await session.refreshing
    }
    return session === current && session.tokens !== refused ? session.tokens : undefined
  }

  /** Sends a request with the token, and once more with a newer one if the first is refused. */
  async function send(request: Request, fetch: (request: Request) => Promise<Response>): Promise<Response> {
    const session = current
    if (!session || request.headers.has('Authorization')) {
      return fetch(request)
    }
    const { tokens, failures } = session
    const response = await fetch(withToken(request.clone(), tokens)) // A body can be sent only once.
    if (!refusesToken(response)) {
      return response
    }
    const newer = await unlessAborted(request.signal, successor(session, tokens, failures))
    if (!newer) {
      return response
    }
    response.body?.cancel().catch(() => {}) // It may have broken off meanwhile, which is of no interest.
    return fetch(withToken(request, newer))
  }

  return { tokens, send, session: () => current }
}

function tokensOf(given: Tokens | SessionTokens): Tokens {
  const { token, refreshToken, sessionId }: Tokens =
    'accessToken' in given ? { token: given.accessToken, refreshToken: given.refreshToken, sessionId: given.id } : given
  if (typeof token !== 'string' || token === '') {
    throw new TypeError('there is no token in these tokens')
  }
  return { token, ...(refreshToken && { refreshToken }), ...(sessionId && { sessionId }) }
}

function withToken(request: Request, { token }: Tokens): Request {
  request.headers.set('Authorization', `Bearer ${token}`)
  return request
}

/**
 * Tells whether the server found the token bad (RFC 6750, section 3.1): with 401 where a token is required, beside the
 * answer for anonymous readers where it is optional.
 */
function refusesToken(response: Response): boolean {
  return /\bBearer\b.*\berror="?invalid_token\b/i.test(response.headers.get('WWW-Authenticate') ?? '')
}

function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) {
      abort()
    }
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Calls an app's listener. What it throws is reported as from an event listener, and fails no call that waits. */
export function report(listener: () => void): void {
  try {
    listener()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
