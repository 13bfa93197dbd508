import createClient from 'openapi-fetch'

import type { paths } from './schema.js'

/** The server refused to make, change or end a world. */
export class WorldError extends Error {
  override readonly name = 'WorldError'
  readonly status: number
  /** What it said, by field. */
  readonly errors: Record<string, string[]>

  constructor(what: string, status: number, errors: Record<string, string[]>) {
    const said = Object.entries(errors).map(([field, texts]) => `${field} ${texts.join(', ')}`)
    super(`${what}: ${[status, ...said].join(' ')}`)
    this.status = status
    this.errors = errors
  }
}

interface Answered<Body> {
  data?: Body
  error?: unknown
  response: Response
}

/** The calls of the contract of worlds, for one server. */
export const worldsClient = (url: string) => createClient<paths>({ baseUrl: url })

/** Gives the body of a good answer, and throws what another one says. */
export async function answered<Body>(what: string, call: Promise<Answered<Body>>): Promise<Body> {
  const { data, error, response } = await call
  if (!response.ok) {
    const errors = (error as { errors?: Record<string, string[]> } | undefined)?.errors
    throw new WorldError(what, response.status, errors ?? {})
  }
  return data as Body
}
