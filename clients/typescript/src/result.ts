import type { HeadersOptions, ParamsOption, RequestBodyOption } from 'openapi-fetch'

import type { RetryOptions } from './retry.js'
import type { paths, Problem } from './schema.js'

type Method = 'get' | 'put' | 'post' | 'delete'

type IsSuccess<Status extends number> = `${Status}` extends `2${string}` ? true : false

type BodyOf<Documented> = Documented extends { content: infer Content } ? Content[keyof Content] : undefined

/**
 * One of the answers that an operation can give. `data` is there on success, `error` on failure, and neither where the
 * contract describes no body (204, 304, most of 202, and every answer to `HEAD`).
 */
export interface Answer<Status extends number, Body> {
  /** Whether the status is 2xx, like `Response.ok`. */
  readonly ok: IsSuccess<Status>
  /** The status, by which TypeScript tells answers apart. */
  readonly status: Status
  readonly data: IsSuccess<Status> extends true ? Body : undefined
  readonly error: IsSuccess<Status> extends true ? undefined : Body
  /** The error as a problem, on failure, if the client asks for `problems` and the server has them. */
  readonly problem?: Problem
  /** For the headers (`ETag`, `Location`, `Retry-After`, `X-Request-Id`). Its body has been read. */
  readonly response: Response
}

/**
 * The answers that the contract documents for an operation, one for each status: `Result<operations['getArticle']>` or
 * `Result<paths['/articles/{slug}']['get']>`. A `switch` over its `status` can be exhaustive.
 */
export type Result<Operation> = Operation extends { responses: infer Responses }
  ? {
      [Status in keyof Responses]: Status extends number ? Answer<Status, BodyOf<Responses[Status]>> : never
    }[keyof Responses]
  : never

/** The same statuses without bodies, as `HEAD` gives them (RFC 9110, section 9.3.2). */
export type HeadResult<Operation> = Operation extends { responses: infer Responses }
  ? { [Status in keyof Responses]: Status extends number ? Answer<Status, undefined> : never }[keyof Responses]
  : never

/** The paths of the contract that have an operation for a method. */
export type PathWith<M extends Method> = {
  [Path in keyof paths]: paths[Path] extends Record<M, { responses: unknown }> ? Path : never
}[keyof paths]

/**
 * What a call takes: `params` and `body` as the contract says, `headers`, `retry` if it is to try again in another way
 * than the client does, and what `fetch` takes besides, such as `signal` and `cache`.
 */
export type CallInit<Operation> = ParamsOption<Operation> &
  RequestBodyOption<Operation> &
  Omit<RequestInit, 'body' | 'headers' | 'method'> & {
    headers?: HeadersOptions
    retry?: RetryOptions | false | undefined
  }

type Arguments<Init> = Partial<Init> extends Init ? [init?: Init] : [init: Init]

/** A call of an operation by its path. The second argument can be left out where nothing in it is required. */
export type Call<M extends Method> = <Path extends PathWith<M>>(
  path: Path,
  ...init: Arguments<CallInit<paths[Path][M]>>
) => Promise<Result<paths[Path][M]>>

/** Asks like `GET` and gets status and headers only. */
export type HeadCall = <Path extends PathWith<'get'>>(
  path: Path,
  ...init: Arguments<CallInit<paths[Path]['get']>>
) => Promise<HeadResult<paths[Path]['get']>>
