// What the journeys in TypeScript have in common: who goes, and what is wanted of an answer.

/** Everybody's. */
export const password = 'jakes secret'

/** A username that nobody has had, so that journeys can go side by side and again. */
export const named = (name: string) => name + Math.random().toString(36).slice(2, 12)

export function want(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

/** Any answer of openapi-fetch. */
interface Result {
  data?: unknown
  error?: unknown
  response: Response
}

/** The body of an answer with this good status. */
export async function good<R extends Result>(status: number, call: Promise<R>): Promise<NonNullable<R['data']>> {
  const { data, response } = await call
  want(response.status === status, `${response.url}: ${response.status}, want ${status}`)
  return data as NonNullable<R['data']>
}

/** The body of a refusal with this status. */
export async function refused<R extends Result>(status: number, call: Promise<R>): Promise<NonNullable<R['error']>> {
  const { error, response } = await call
  want(response.status === status, `${response.url}: ${response.status}, want ${status}`)
  want(error, `${response.url}: a refusal without a body`)
  return error
}
