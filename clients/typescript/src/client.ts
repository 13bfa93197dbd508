import createClient, { mergeHeaders, type HeadersOptions } from 'openapi-fetch'

import { contract } from './contract.js'
import { EventsRefusedError, followEvents, type EventsOptions, type UserEvents } from './events.js'
import { keepPosition } from './position.js'
import { fieldsOf, problemOf, problemsPreferred } from './problems.js'
import type { Call, HeadCall } from './result.js'
import { keyHeader, newKey, retrying, type RetryOptions } from './retry.js'
import type { ErrorEnvelope } from './schema.js'
import { keepTokens, type Refreshed, type TokenStore, type Tokens } from './tokens.js'

export interface ConduitClientOptions {
  /** Where the API is, with its `/api`: `https://conduit.example.com/api`, or `/api` in a page of the same origin. */
  baseUrl: string
  /** The token that an app has kept, if any. Kept {@link Tokens} can be spread in: `{ baseUrl, ...kept }`. */
  token?: string | null | undefined
  /** The refresh token that came with it, if any. */
  refreshToken?: string | null | undefined
  /** The session of both. */
  sessionId?: string | null | undefined
  /**
   * Asks for errors as problems (RFC 9457): results of failed calls have a `problem` beside their `error`, which points
   * at what is wrong in the request. `error` stays what it is.
   */
  problems?: boolean | undefined
  /**
   * How the client tries again by itself if a connection breaks or the server cannot answer just now; `false` if it does
   * not. Each change has an `Idempotency-Key`, so the server carries it out once, however often it is sent.
   */
  retry?: RetryOptions | false | undefined
  /**
   * What sends requests instead of `globalThis.fetch`. It is called once for each request that is sent, also for a
   * refresh and for a call that is repeated.
   */
  fetch?: ((request: Request) => Promise<Response>) | undefined
  /** Told newer tokens after a refresh, before the calls that waited for them go on, so that an app can keep them. */
  onTokens?: ((tokens: Tokens) => void) | undefined
  /**
   * Told once when the server has ended the session: its token is refused, and so is its refresh token if it
   * has one. The tokens are cleared by then. Not called for `tokens.clear()`, nor for a server that is away (503).
   */
  onSignedOut?: (() => void) | undefined
}

/**
 * The operations of the contract by method and path. A call gives one of the answers that the contract documents.
 *
 * It rejects with what `fetch` rejected with if no answer came (a `TypeError` when the network is down, the reason of
 * `signal` when it was aborted), with {@link UnexpectedResponseError} if the answer is none of the contract's, and with a
 * `TypeError` if a parameter of the path is empty, `.` or `..`, which name nothing.
 */
export interface ConduitClient {
  readonly GET: Call<'get'>
  readonly POST: Call<'post'>
  readonly PUT: Call<'put'>
  readonly DELETE: Call<'delete'>
  readonly HEAD: HeadCall
  /**
   * What happens to the user and around them, as it happens, from the first turn of a loop over it: `for await (const
   * event of client.events())`. It connects again by itself, and nothing is missed or comes twice meanwhile. The loop
   * ends when the session that was logged in at its beginning does, and with `tokens.clear()`.
   *
   * It throws {@link EventsRefusedError} if the server refuses, {@link UnexpectedResponseError} for an answer that is
   * none of the contract's, and the reason of `signal`.
   */
  readonly events: (options?: EventsOptions) => UserEvents
  /** The tokens that calls carry. They change at a login, a logout and a refresh. */
  readonly tokens: TokenStore
}

/**
 * An answer that the contract does not have: another status, or no JSON where there should be some. It usually comes
 * from something on the way, as a proxy with 502, or says that `baseUrl` is wrong. It is thrown and no result, because
 * then results are exactly what the contract says, and a `switch` over their status needs no `default`.
 */
export class UnexpectedResponseError extends Error {
  override readonly name = 'UnexpectedResponseError'
  readonly status: number
  /** For the headers. Its body has been read. */
  readonly response: Response
  /** The body: parsed if it is JSON, else its text. */
  readonly body: unknown

  constructor(operation: string, response: Response, body: unknown) {
    super(`${operation} was answered with ${response.status} in a way that is not in the contract`)
    this.status = response.status
    this.response = response
    this.body = body
  }
}

const eventsPath = '/user/events'

/**
 * Makes a client of one API for one user at a time. A server that renders pages makes one for each request.
 *
 * @throws TypeError if there is a refresh token without the token that it came with.
 */
export function createConduitClient(options: ConduitClientOptions): ConduitClient {
  const { baseUrl, token, refreshToken, sessionId } = options
  const once = keepPosition(async (request) => readable(await (options.fetch ?? globalThis.fetch)(request)))
  // What may be asked for is said by the types of ConduitClient; in here every call is the same.
  const request = createClient({ baseUrl }).request as (method: string, path: string, init: object) => Promise<Answered>

  const { tokens, send, session } = keepTokens({
    refresh,
    onTokens: (newer) => options.onTokens?.(newer),
    onSignedOut: () => options.onSignedOut?.(),
  })
  if (token || refreshToken) {
    tokens.set({ token: token ?? '', refreshToken: refreshToken ?? undefined, sessionId: sessionId ?? undefined })
  }

  // What is checked in here at run time is what makes the types of ConduitClient true.
  async function call(method: string, path: string, given: CallOptions = {}): Promise<any> {
    // HEAD is not in the contract by itself: it is answered wherever GET is.
    const name = `${method === 'HEAD' ? 'GET' : method} ${path}`
    const operation = contract[name]
    if (!operation) {
      throw new TypeError(`the contract has no ${name}`)
    }
    const { retry = options.retry, ...init } = given
    checkPath(name, init)
    const fetch = retry === false ? once : retrying(once, retry)
    const { data, error, response } = await request(method, path, {
      ...init,
      headers: mergeHeaders(
        options.problems && !operation.oauth ? { Accept: problemsPreferred } : undefined,
        // All that is sent for one call has the same key.
        retry === false || method === 'GET' || method === 'HEAD' ? undefined : { [keyHeader]: newKey() },
        init.headers,
      ),
      parseAs: 'text',
      fetch: operation.token ? (request: Request) => send(request, fetch) : fetch,
    })
    const { ok, status } = response
    const isText = operation.text?.includes(status)
    const sent = ok && !isText ? parse(data) : (data ?? error)
    const problem = ok ? undefined : problemOf(response, sent)
    const body = problem ? { errors: fieldsOf(problem) } : sent
    const bodiless = method === 'HEAD' || operation.empty?.includes(status)
    const isRight = bodiless ? !data : isText ? data : ok ? isObject(body) : isErrorEnvelope(body)
    if (!operation.statuses.includes(status) || !isRight) {
      throw new UnexpectedResponseError(`${method} ${path}`, response, body)
    }
    return {
      ok,
      status,
      data: ok && !bodiless ? body : undefined,
      error: ok || bodiless ? undefined : body,
      ...(problem && { problem }),
      response,
    }
  }

  const caller = (method: string) => (path: string, init?: CallOptions) => call(method, path, init)
  const client: ConduitClient = {
    GET: caller('GET'),
    POST: caller('POST'),
    PUT: caller('PUT'),
    DELETE: caller('DELETE'),
    HEAD: caller('HEAD'),
    events: (options) => followEvents({ open: openEvents, session, errorOf: refusalOfEvents }, options),
    tokens,
  }

  function openEvents(headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const url = baseUrl.replace(/\/$/, '') + eventsPath
    return send(new Request(url, { headers, signal, cache: 'no-store' }), once) // It is asked for again by its loop.
  }

  async function refusalOfEvents(response: Response): Promise<Error> {
    const body = parse(await response.text())
    const isRefusal = contract[`GET ${eventsPath}`]!.statuses.includes(response.status) && isErrorEnvelope(body)
    return isRefusal
      ? new EventsRefusedError(response, body)
      : new UnexpectedResponseError(`GET ${eventsPath}`, response, body)
  }

  async function refresh(refreshToken: string): Promise<Refreshed> {
    try {
      const result = await client.POST('/sessions/refresh', { body: { session: { refreshToken } } })
      if (result.ok) {
        return result.data.session?.accessToken ? result.data.session : 'unanswered'
      }
      // Only the server's own word ends a session, and not a 401 from something on the way.
      return result.error.errors.refreshToken ? 'refused' : 'unanswered'
    } catch {
      return 'unanswered'
    }
  }

  return client
}

/**
 * The response with headers that can all be asked for. In a universal `load` of SvelteKit, `get` throws for those that
 * the page will not have when it wakes up in the browser; they are there all the same.
 */
function readable(response: Response): Response {
  try {
    response.headers.get('Content-Length')
    response.headers.get('WWW-Authenticate')
    return response
  } catch {
    const headers = new Headers([...response.headers])
    return new Proxy(response, {
      get(target, name) {
        const value: unknown = name === 'headers' ? headers : Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
}

/**
 * Refuses path parameters that would lead to another operation: a URL drops what is empty and what `.` and `..` stand
 * for, and then a session that is to be ended would be all of them.
 */
function checkPath(operation: string, init: { params?: { path?: object } } = {}): void {
  for (const [name, value] of Object.entries(init.params?.path ?? {})) {
    if (value == null || ['', '.', '..'].includes(String(value))) {
      throw new TypeError(`${operation} was called without a ${name}`)
    }
  }
}

interface CallOptions {
  headers?: HeadersOptions
  params?: { path?: object }
  retry?: RetryOptions | false | undefined
}

interface Answered {
  data?: string
  error?: unknown
  response: Response
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return text
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isErrorEnvelope(value: unknown): value is ErrorEnvelope {
  return isObject(value) && 'errors' in value && isObject(value.errors)
}
