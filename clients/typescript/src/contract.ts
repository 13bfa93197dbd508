// Written by `npm run generate` from openapi.yaml. Do not edit.

/** What the contract says of an operation: whether it takes a token, and the statuses with which it answers. */
export interface Operation {
  readonly token: boolean
  readonly statuses: readonly number[]
}

/** The operations by method and path. */
export const contract: Readonly<Record<string, Operation>> = {
  'POST /users': { token: false, statuses: [201, 400, 408, 409, 413, 415, 422, 429, 500, 503] },
  'POST /users/login': { token: false, statuses: [200, 400, 401, 408, 413, 415, 422, 429, 500, 503] },
  'POST /users/logout': { token: true, statuses: [204, 401, 422, 500, 503] },
  'GET /user': { token: true, statuses: [200, 401, 422, 500, 503] },
  'PUT /user': { token: true, statuses: [200, 400, 401, 408, 409, 413, 415, 422, 429, 500, 503] },
  'DELETE /user': { token: true, statuses: [204, 400, 401, 408, 409, 413, 415, 422, 429, 500, 503] },
  'GET /user/export': { token: true, statuses: [200, 401, 422, 429, 500, 503] },
  'GET /user/sessions': { token: true, statuses: [200, 401, 422, 500, 503] },
  'DELETE /user/sessions': { token: true, statuses: [204, 401, 422, 500, 503] },
  'DELETE /user/sessions/{sessionId}': { token: true, statuses: [204, 401, 404, 422, 500, 503] },
  'POST /sessions': { token: false, statuses: [201, 400, 401, 408, 413, 415, 422, 429, 500, 503] },
  'POST /sessions/refresh': { token: false, statuses: [200, 400, 401, 408, 413, 415, 422, 500, 503] },
  'GET /profiles/{username}': { token: true, statuses: [200, 304, 404, 422, 500, 503] },
  'POST /profiles/{username}/follow': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'DELETE /profiles/{username}/follow': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'GET /articles': { token: true, statuses: [200, 304, 422, 500, 503] },
  'POST /articles': { token: true, statuses: [201, 400, 401, 408, 413, 415, 422, 500, 503] },
  'GET /articles/feed': { token: true, statuses: [200, 304, 401, 422, 500, 503] },
  'GET /articles/{slug}': { token: true, statuses: [200, 304, 404, 422, 500, 503] },
  'PUT /articles/{slug}': { token: true, statuses: [200, 400, 401, 403, 404, 408, 413, 415, 422, 500, 503] },
  'DELETE /articles/{slug}': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503] },
  'POST /articles/{slug}/favorite': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'DELETE /articles/{slug}/favorite': { token: true, statuses: [200, 401, 404, 422, 500, 503] },
  'GET /articles/{slug}/comments': { token: true, statuses: [200, 304, 404, 422, 500, 503] },
  'POST /articles/{slug}/comments': { token: true, statuses: [201, 400, 401, 404, 408, 413, 415, 422, 500, 503] },
  'DELETE /articles/{slug}/comments/{commentId}': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503] },
  'GET /tags': { token: false, statuses: [200, 304, 422, 500, 503] },
  'POST /introspect': { token: false, statuses: [200, 400, 401, 408, 413, 415, 429, 500, 503] },
  'POST /revoke': { token: false, statuses: [200, 400, 401, 408, 413, 415, 429, 500, 503] },
  'GET /admin/users': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'GET /admin/users/{userId}': { token: true, statuses: [200, 401, 403, 404, 422, 500, 503] },
  'PUT /admin/users/{userId}': { token: true, statuses: [200, 400, 401, 403, 404, 408, 409, 413, 415, 422, 500, 503] },
  'DELETE /admin/users/{userId}': { token: true, statuses: [204, 401, 403, 404, 409, 422, 500, 503] },
  'GET /admin/users/{userId}/sessions': { token: true, statuses: [200, 401, 403, 404, 422, 500, 503] },
  'DELETE /admin/users/{userId}/sessions': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503] },
  'GET /admin/sessions': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'DELETE /admin/sessions/{sessionId}': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503] },
  'GET /admin/audit': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'GET /admin/keys': { token: true, statuses: [200, 401, 403, 422, 500, 503] },
  'POST /admin/keys': { token: true, statuses: [200, 400, 401, 403, 408, 413, 415, 422, 429, 500, 503] },
  'DELETE /admin/keys/{keyId}': { token: true, statuses: [204, 401, 403, 404, 422, 500, 503] },
  'GET /status-lists/{listId}': { token: false, statuses: [200, 304, 404, 422, 500, 503] },
  'GET /.well-known/jwks.json': { token: false, statuses: [200, 304, 422] },
  'GET /.well-known/oauth-authorization-server': { token: false, statuses: [200, 304, 404, 422] },
}
