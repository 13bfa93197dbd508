import type { ErrorEnvelope, Errors, Problem } from './schema.js'

/** Asks for errors as problems (RFC 9457). A server that does not know them answers in the default shape. */
export const problemsPreferred = 'application/problem+json, application/json;q=0.9'

/** The messages of an error by field, whichever of its two shapes it has. */
export function fieldsOf(error: ErrorEnvelope | Problem): Errors {
  if (!Array.isArray(error.errors)) {
    return error.errors
  }
  const fields: Errors = {}
  for (const { field, detail } of error.errors) {
    fields[field] = [...(fields[field] ?? []), detail]
  }
  return fields
}

/** The problem that an answer has for its body; undefined if it has something else. */
export function problemOf(response: Response, body: unknown): Problem | undefined {
  const media = response.headers.get('Content-Type')?.split(';')[0]?.trim().toLowerCase()
  return media === 'application/problem+json' && isProblem(body) ? body : undefined
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'errors' in body && Array.isArray(body.errors)
}
