// Written by `npm run generate` from openapi.yaml. Do not edit.

/** What the contract says of an operation: whether it takes a token, and the statuses with which it answers. */
export interface Operation {
  readonly token: boolean
  readonly statuses: readonly number[]
  /** Those of the statuses that have no body, and those whose body is a text. All others have JSON. */
  readonly empty?: readonly number[]
  readonly text?: readonly number[]
  /** Whether errors have a code of OAuth's, which no problem has. */
  readonly oauth?: boolean
}

/** The operations by method and path. */
export const contract: Readonly<Record<string, Operation>> = {
  'POST /users': { token: false, statuses: [201, 202, 400, 408, 409, 413, 415, 422, 429, 500, 503], empty: [202] },
  'POST /users/login': { token: false, statuses: [200, 400, 401, 403, 408, 413, 415, 422, 429, 500, 503] },
  'POST /users/logout': { token: true, statuses: [204, 401, 422, 500, 503], empty: [204] },
  'GET /user': { token: true, statuses: [200, 401, 422, 500, 503] },
  'PUT /user': { token: true, statuses: [200, 400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503] },
  'DELETE /user': { token: true, statuses: [204, 400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503], empty: [204] },
  'GET /user/export': { token: true, statuses: [200, 401, 422, 429, 500, 503] },
  'POST /user/proofs': { token: true, statuses: [200, 400, 401, 403, 408, 413, 415, 422, 429, 500, 503] },
  'POST /user/proofs/passkey-challenge': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'POST /user/proofs/passkey': { token: true, statuses: [200, 400, 401, 404, 408, 413, 415, 422, 429, 500, 503] },
  'GET /user/factors': { token: true, statuses: [200, 401, 422, 500, 503] },
  'POST /user/factors/totp': { token: true, statuses: [200, 400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503] },
  'PUT /user/factors/totp': { token: true, statuses: [200, 400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503] },
  'DELETE /user/factors/totp': { token: true, statuses: [204, 400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503], empty: [204] },
  'POST /user/factors/recovery-codes': { token: true, statuses: [200, 400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503] },
  'POST /user/email-verification': { token: true, statuses: [202, 401, 422, 429, 500, 503], empty: [202] },
  'PUT /email-verifications/{code}': { token: false, statuses: [204, 400, 404, 408, 409, 413, 415, 422, 429, 500, 503], empty: [204] },
  'POST /password-resets': { token: false, statuses: [202, 400, 408, 413, 415, 422, 429, 500, 503], empty: [202] },
  'PUT /password-resets/{code}': { token: false, statuses: [204, 400, 404, 408, 413, 415, 422, 429, 500, 503], empty: [204] },
  'GET /user/sessions': { token: true, statuses: [200, 401, 422, 500, 503] },
  'DELETE /user/sessions': { token: true, statuses: [204, 401, 422, 500, 503], empty: [204] },
  'DELETE /user/sessions/{sessionId}': { token: true, statuses: [204, 401, 404, 422, 500, 503], empty: [204] },
  'GET /user/events': { token: true, statuses: [200, 401, 422, 429, 500, 503], text: [200] },
  'POST /sessions': { token: false, statuses: [201, 202, 400, 401, 408, 413, 415, 422, 429, 500, 503] },
  'POST /sessions/challenge': { token: false, statuses: [201, 400, 401, 408, 413, 415, 422, 429, 500, 503] },
  'POST /sessions/refresh': { token: false, statuses: [200, 400, 401, 408, 413, 415, 422, 500, 503] },
  'POST /sessions/passkey-challenge': { token: false, statuses: [200, 404, 422] },
  'POST /sessions/passkey': { token: false, statuses: [201, 400, 401, 404, 408, 413, 415, 422, 429, 500, 503] },
  'GET /user/passkeys': { token: true, statuses: [200, 401, 422, 500, 503] },
  'POST /user/passkeys': { token: true, statuses: [201, 400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503] },
  'POST /user/passkeys/challenge': { token: true, statuses: [200, 401, 403, 404, 422, 500, 503] },
  'PUT /user/passkeys/{passkeyId}': { token: true, statuses: [200, 400, 401, 404, 408, 413, 415, 422, 429, 500, 503] },
  'DELETE /user/passkeys/{passkeyId}': { token: true, statuses: [204, 401, 403, 404, 422, 429, 500, 503], empty: [204] },
  'GET /profiles/{username}': { token: true, statuses: [200, 304, 404, 422, 500, 503], empty: [304] },
  'POST /profiles/{username}/follow': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'DELETE /profiles/{username}/follow': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'GET /articles': { token: true, statuses: [200, 304, 422, 500, 503], empty: [304] },
  'POST /articles': { token: true, statuses: [201, 400, 401, 408, 413, 415, 422, 500, 503] },
  'GET /articles/feed': { token: true, statuses: [200, 304, 401, 422, 500, 503], empty: [304] },
  'GET /articles/{slug}': { token: true, statuses: [200, 304, 404, 422, 500, 503], empty: [304] },
  'PUT /articles/{slug}': { token: true, statuses: [200, 400, 401, 403, 404, 408, 413, 415, 422, 500, 503] },
  'DELETE /articles/{slug}': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503], empty: [204] },
  'POST /articles/{slug}/favorite': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'DELETE /articles/{slug}/favorite': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'GET /articles/{slug}/comments': { token: true, statuses: [200, 304, 404, 422, 500, 503], empty: [304] },
  'POST /articles/{slug}/comments': { token: true, statuses: [201, 400, 401, 404, 408, 413, 415, 422, 500, 503] },
  'DELETE /articles/{slug}/comments/{commentId}': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503], empty: [204] },
  'GET /tags': { token: false, statuses: [200, 304, 422, 500, 503], empty: [304] },
  'POST /introspect': { token: false, statuses: [200, 400, 401, 408, 413, 415, 429, 500, 503], oauth: true },
  'POST /revoke': { token: false, statuses: [200, 400, 401, 408, 413, 415, 429, 500, 503], empty: [200], oauth: true },
  'GET /admin/users': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'GET /admin/users/{userId}': { token: true, statuses: [200, 401, 403, 404, 422, 500, 503] },
  'PUT /admin/users/{userId}': { token: true, statuses: [200, 400, 401, 403, 404, 408, 409, 413, 415, 422, 500, 503] },
  'DELETE /admin/users/{userId}': { token: true, statuses: [204, 401, 403, 404, 409, 422, 500, 503], empty: [204] },
  'GET /admin/users/{userId}/sessions': { token: true, statuses: [200, 401, 403, 404, 422, 500, 503] },
  'DELETE /admin/users/{userId}/sessions': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503], empty: [204] },
  'GET /admin/sessions': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'DELETE /admin/sessions/{sessionId}': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503], empty: [204] },
  'GET /admin/audit': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'GET /admin/mails': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'POST /admin/mails/{mailId}/retry': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503], empty: [204] },
  'GET /admin/keys': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'POST /admin/keys': { token: true, statuses: [200, 400, 401, 403, 408, 413, 415, 422, 429, 500, 503] },
  'DELETE /admin/keys/{keyId}': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503], empty: [204] },
  'GET /status-lists/{listId}': { token: false, statuses: [200, 304, 404, 422, 500, 503], empty: [304], text: [200] },
  'GET /.well-known/jwks.json': { token: false, statuses: [200, 304, 422], empty: [304] },
  'GET /.well-known/oauth-authorization-server': { token: false, statuses: [200, 304, 404, 422], empty: [304] },
}
