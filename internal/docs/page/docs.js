// Opens Swagger UI on this server's own contract, so that each operation can be executed as it stands: with what there is on this
// server, and what was made on the page before. It keeps the lock in step: whoever registers or logs in here is authorized for the
// locked operations, and whoever logs out no longer is.

const scheme = 'bearerAuth'

let newestRefreshToken

// The bodies that passkeys have made ready, by the paths of the operations that take them.
const ready = new Map()

// Swagger UI's dark mode is a class on the root, which follows the browser.
const dark = matchMedia('(prefers-color-scheme: dark)')
const followColours = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', followColours)
followColours()

// What Swagger UI leaves without a name for screen readers, and what scrolls but cannot be reached by the keyboard.
const names = { '.body-param__text': 'Request body', '#servers': 'Server', '.examples-select-element': 'Example' }
let namingIsDue = false
new MutationObserver(() => {
  if (namingIsDue) return
  namingIsDue = true
  requestAnimationFrame(nameElements)
}).observe(document.documentElement, { childList: true, subtree: true })

function nameElements() {
  namingIsDue = false
  for (const [selector, name] of Object.entries(names)) {
    for (const element of document.querySelectorAll(`${selector}:not([aria-label])`))
      element.setAttribute('aria-label', name)
  }
  for (const element of document.querySelectorAll('pre.microlight:not([tabindex]), .opblock-body:not([tabindex])'))
    element.tabIndex = 0
}

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
  plugins: [
    {
      statePlugins: {
        spec: { wrapActions: { updateJsonSpec: (update) => (spec) => update(asServedHere(spec)) } },
        oas3: { wrapActions: { setRequestBodyValue: (set) => (change) => set(withNewest(change)) } },
      },
    },
  ],
  onComplete: suggestWhatThereIs,
  responseInterceptor: (response) => {
    followAuthorization(response)
    followWhatWasMade(response)
    answeredByPasskey(response, makeReady)
    return response
  },
})

// here is this page's own server, below whatever path a proxy has put before it. The contract may name another one,
// where the public reaches the server.
const here = new URL('.', location.href).pathname.replace(/\/$/, '')

// asServedHere returns the contract for this page: it calls the server that the page comes from, and has no examples of
// parameters that can be left out, since all at once they would find nothing.
function asServedHere(spec) {
  spec.servers = [{ ...spec.servers[0], url: `${here}/api` }]
  for (const path of Object.values(spec.paths)) {
    if (path.servers) path.servers = [{ ...path.servers[0], url: here || '/' }]
  }
  const shared = Object.values(spec.components?.parameters ?? {})
  const own = Object.values(spec.paths ?? {}).flatMap((path) =>
    [path, ...Object.values(path)].flatMap((item) => item.parameters ?? []),
  )
  for (const parameter of [...shared, ...own]) {
    if (parameter.in === 'query' && !parameter.required) {
      delete parameter.example
      delete parameter.schema.default // the server's own, whether it is sent or not
    }
  }
  return spec
}

// suggestWhatThereIs fills in an article and a person of this server, if there are any.
async function suggestWhatThereIs() {
  const { articles = [] } = await fetch('api/articles?limit=1').then((response) => (response.ok ? response.json() : {}))
  if (articles.length > 0) {
    suggest('slug', articles[0].slug)
    suggest('username', articles[0].author.username)
  }
}

// followWhatWasMade fills in what an operation made, for the operations that take it.
function followWhatWasMade({ status, body }) {
  if (status === 201 && body.article) suggest('slug', body.article.slug)
  if (status === 201 && body.comment) suggest('commentId', body.comment.id)
  if (status === 201 && body.passkey) suggest('passkeyId', body.passkey.id)
  if (body?.session?.refreshToken) {
    suggest('sessionId', body.session.id)
    newestRefreshToken = body.session.refreshToken
    ui.oas3Actions.setRequestBodyValue({ value: refreshExample(), pathMethod: ['/sessions/refresh', 'post'] })
  }
}

// makeReady puts a body where an operation takes it, at once and, if that is not open yet, when it is opened.
function makeReady(path, body) {
  ready.set(path, JSON.stringify(body, null, 2))
  ui.oas3Actions.setRequestBodyValue({ value: ready.get(path), pathMethod: [path, 'post'] })
}

function withNewest(change) {
  for (const [path, value] of ready) {
    if (change.value === exampleOf(path)) return { ...change, value }
  }
  return withNewestToken(change)
}

function exampleOf(path) {
  const body = ['paths', path, 'post', 'requestBody', 'content', 'application/json', 'example']
  return JSON.stringify(ui.specSelectors.specJson().getIn(body), null, 2)
}

// withNewestToken puts the newest refresh token where the page shows the contract's example of one, as it does when an operation
// is opened.
function withNewestToken(change) {
  if (!newestRefreshToken || change.value !== refreshExample()) return change
  return { ...change, value: change.value.replace(exampleToken(), newestRefreshToken) }
}

function exampleToken() {
  const input = ['components', 'schemas', 'RefreshSessionInput']
  return ui.specSelectors.specJson().getIn([...input, 'properties', 'refreshToken', 'example'])
}

function refreshExample() {
  return JSON.stringify({ session: { refreshToken: exampleToken() } }, null, 2)
}

// suggest fills in a value wherever a path has a parameter of that name.
function suggest(name, value) {
  for (const [path, item] of Object.entries(ui.specSelectors.specJson().get('paths').toJS())) {
    if (!path.includes(`{${name}}`)) continue
    for (const method of Object.keys(item).filter((key) => item[key].operationId)) {
      ui.specActions.changeParam([path, method], name, 'path', String(value), false)
    }
  }
}

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
