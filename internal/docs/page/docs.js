// Opens Swagger UI on this server's own contract and keeps its lock in step with what is executed: whoever registers or
// logs in here is authorized for the locked operations, and whoever logs out no longer is.

const scheme = 'bearerAuth'

const ui = SwaggerUIBundle({
  // The file that people edit, since it has the operations in their order.
  url: 'openapi.yaml',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: true,
  requestSnippetsEnabled: true,
  showCommonExtensions: true,
  tryItOutEnabled: true,
  // The badge would ask a server on the internet what it thinks of the contract.
  validatorUrl: null,
  responseInterceptor: (response) => {
    followAuthorization(response)
    return response
  },
})

function followAuthorization({ url, status, headers, body }) {
  // `login` and its kin answer with a user, `createSession` and `refreshSession` with a session.
  const token = body?.user?.token ?? body?.session?.accessToken
  if (token) {
    ui.authActions.authorizeWithPersistOption({
      [scheme]: {
        name: scheme,
        schema: ui.specSelectors.specJson().getIn(['components', 'securitySchemes', scheme]),
        value: token,
      },
    })
  } else if (endsSession(url, status) || saysInvalidToken(headers)) {
    // A closed lock that no longer opens anything would mislead.
    ui.authActions.logoutWithPersistOption([scheme])
  }
}

// endsSession tells whether the answer is that of `logout` or `deleteCurrentUser`, the operations below these paths that
// answer 204.
function endsSession(url, status) {
  return status === 204 && /\/user(s\/logout)?$/.test(new URL(url, location.href).pathname)
}

// saysInvalidToken reads the challenge of an answer, which Swagger UI gives as a list when it has a comma in it.
function saysInvalidToken(headers) {
  return String(headers?.['www-authenticate'] ?? '').includes('error="invalid_token"')
}
