// Takes the TypeScript client of a released contract through a server of today.
import createClient from 'openapi-fetch'

import { good, named, password, refused, want } from '../people.js'
import type { paths } from './schema.js'

/** Makes an account, and gives a client that is logged in. */
async function register(api: string, name: string) {
  const client = createClient<paths>({ baseUrl: api })
  const username = named(name)
  const user = { username, email: `${username}@example.com`, password }
  const session = { token: (await good(201, client.POST('/users', { body: { user } }))).user.token }
  client.use({
    onRequest({ request }) {
      if (session.token) request.headers.set('Authorization', `Bearer ${session.token}`)
    },
  })
  return { client, session, username, email: user.email }
}

/** The way of a reader and a writer. */
export async function realWorld(api: string) {
  const jake = await register(api, 'jake')
  const jane = await register(api, 'jane')

  const login = (email: string, password: string) =>
    jake.client.POST('/users/login', { body: { user: { email, password } } })
  want((await refused(401, login(jake.email, 'another secret'))).errors, 'a refusal says nothing')
  const { user } = await good(200, login(jake.email, password))
  want(user.username === jake.username && user.bio === null && user.image === null, 'logged in')
  jake.session.token = user.token

  const bio = 'I like to skateboard'
  const changed = await good(200, jake.client.PUT('/user', { body: { user: { bio } } }))
  want(changed.user.bio === bio, 'changed')
  const { errors } = await refused(422, jake.client.PUT('/user', { body: { user: { email: 'nobody' } } }))
  want(errors.email?.length, 'refused')
  want((await good(200, jake.client.GET('/user'))).user.email === jake.email, 'read')

  const writer = { params: { path: { username: jake.username } } }
  const followed = await good(200, jane.client.POST('/profiles/{username}/follow', writer))
  want(followed.profile.following && followed.profile.bio === bio, 'followed')

  const tagList = [named('tag'), 'training']
  const draft = { title: named('How to '), description: 'Ever wonder?', body: 'You have to believe', tagList }
  const { article } = await good(201, jake.client.POST('/articles', { body: { article: draft } }))
  want(article.tagList.join() === tagList.join() && article.author.username === jake.username, 'published')
  const it = { params: { path: { slug: article.slug } } }
  const rewriting = { ...it, body: { article: { body: 'With two hands' } } }
  const rewritten = await good(200, jake.client.PUT('/articles/{slug}', rewriting))
  want(rewritten.article.body === 'With two hands' && rewritten.article.title === article.title, 'rewritten')
  await refused(403, jane.client.PUT('/articles/{slug}', rewriting))

  const favorite = await good(200, jane.client.POST('/articles/{slug}/favorite', it))
  want(favorite.article.favorited && favorite.article.favoritesCount === 1, 'favourite')
  const body = { comment: { body: 'His name was my name too.' } }
  const { comment } = await good(201, jane.client.POST('/articles/{slug}/comments', { ...it, body }))
  const { comments } = await good(200, jake.client.GET('/articles/{slug}/comments', it))
  want(comments.length === 1 && comments[0]?.id === comment.id, 'comments')
  want(comments[0].author.username === jane.username, 'who commented')

  const feed = await good(200, jane.client.GET('/articles/feed', { params: { query: { limit: 20 } } }))
  want(feed.articlesCount === 1 && feed.articles[0]?.slug === article.slug, 'feed')
  const query = { author: jake.username }
  const listed = await good(200, jane.client.GET('/articles', { params: { query } }))
  want(listed.articles.length === 1 && listed.articles[0]?.author.following, 'listed')
  want((await good(200, jane.client.GET('/tags'))).tags.includes(tagList[0] ?? ''), 'tags')

  const said = { params: { path: { slug: article.slug, commentId: comment.id } } }
  await good(204, jane.client.DELETE('/articles/{slug}/comments/{commentId}', said))
  const unmarked = await good(200, jane.client.DELETE('/articles/{slug}/favorite', it))
  want(!unmarked.article.favorited && unmarked.article.favoritesCount === 0, 'no favourite')
  await good(200, jane.client.DELETE('/profiles/{username}/follow', writer))
  want(!(await good(200, jane.client.GET('/profiles/{username}', writer))).profile.following, 'not followed')
  await good(204, jake.client.DELETE('/articles/{slug}', it))
  const gone = await refused(404, jane.client.GET('/articles/{slug}', it))
  want(gone.errors.article?.join() === 'not found', 'gone')

  want((await good(200, jake.client.GET('/.well-known/jwks.json'))).keys.length > 0, 'public keys')
  await good(204, jake.client.POST('/users/logout'))
  await refused(401, jake.client.GET('/user'))
}

type Client = Awaited<ReturnType<typeof register>>

/** Begins a session with a refresh token. */
async function begin({ client, session, email }: Client) {
  const begun = await good(201, client.POST('/sessions', { body: { session: { email, password } } }))
  want('session' in begun, 'no second step')
  session.token = begun.session.accessToken
  return begun.session
}

/** Goes on with a session. */
async function refresh({ client, session }: Client, { id, refreshToken }: { id: string; refreshToken: string }) {
  const fresh = await good(200, client.POST('/sessions/refresh', { body: { session: { refreshToken } } }))
  want(fresh.session.id === id && fresh.session.refreshToken !== refreshToken, 'refreshed')
  session.token = fresh.session.accessToken
  return fresh.session
}

/** The way of somebody with several devices, who leaves in the end. */
export async function sessions(api: string) {
  const jake = await register(api, 'jake')
  const first = jake.session.token
  const begun = await refresh(jake, await refresh(jake, await begin(jake)))
  const listed = await good(200, jake.client.GET('/user/sessions'))
  want(listed.sessions.length === 2, 'sessions')
  const other = listed.sessions.find(({ current }) => !current)
  want(other, 'the other session')
  const it = { params: { path: { sessionId: other.id } } }
  await good(204, jake.client.DELETE('/user/sessions/{sessionId}', it))
  await refused(404, jake.client.DELETE('/user/sessions/{sessionId}', it))
  const second = jake.session.token
  jake.session.token = first
  await refused(401, jake.client.GET('/user'))
  jake.session.token = second
  await begin(jake)
  await good(204, jake.client.DELETE('/user/sessions'))
  const { refreshToken } = begun
  await refused(401, jake.client.POST('/sessions/refresh', { body: { session: { refreshToken } } }))

  const metadata = await good(200, jake.client.GET('/.well-known/oauth-authorization-server'))
  want(metadata.issuer && metadata.jwks_uri, 'metadata')
  const leaving = (password: string) => jake.client.DELETE('/user', { body: { user: { password } } })
  await refused(422, leaving('another secret'))
  await good(204, leaving(password))
  const path = { username: jake.username }
  await refused(404, jake.client.GET('/profiles/{username}', { params: { path } }))
}

/** Changes a password with the current one, and reads of it. */
export async function notices(api: string) {
  const { client } = await register(api, 'jake')
  const change = (currentPassword: string) =>
    client.PUT('/user', { body: { user: { currentPassword, password: 'jakes new secret' } } })
  want((await refused(422, change('another secret'))).errors.currentPassword, 'refused')
  await good(200, change(password))
  const listed = await good(200, client.GET('/user/sessions'))
  want(
    listed.notices.some(({ event }) => event === 'password-changed'),
    'a notice',
  )
}

/** Reads comments page by page. */
export async function pages(api: string) {
  const { client } = await register(api, 'jake')
  const draft = { title: named('Pages '), description: 'd', body: 'b' }
  const { slug } = (await good(201, client.POST('/articles', { body: { article: draft } }))).article
  const params = { path: { slug } }
  for (let turn = 0; turn < 3; turn++)
    await good(201, client.POST('/articles/{slug}/comments', { params, body: { comment: { body: 'One more.' } } }))
  let read = 0
  for (let cursor: string | null | undefined; cursor !== null;) {
    const query = { limit: 2, ...(cursor && { cursor }) }
    const page = await good(200, client.GET('/articles/{slug}/comments', { params: { ...params, query } }))
    read += page.comments.length
    cursor = page.nextCursor
  }
  want(read === 3, `${read} comments`)
}

/** What an authenticator app shows now (RFC 6238). */
async function appCode(secret: string) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...secret].map((digit) => alphabet.indexOf(digit).toString(2).padStart(5, '0')).join('')
  const bytes = new Uint8Array((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)))
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-1' }, false, ['sign'])
  const step = new DataView(new ArrayBuffer(8))
  step.setBigUint64(0, BigInt(Math.floor(Date.now() / 30_000)))
  const sum = new DataView(await crypto.subtle.sign('HMAC', key, step.buffer))
  return String((sum.getUint32(sum.getUint8(19) & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

/** Adds an authenticator app, logs in with two steps, and removes it. */
export async function factors(api: string) {
  const jake = await register(api, 'jake')
  const enrolling = jake.client.POST('/user/factors/totp', { body: { factor: { password } } })
  const code = await appCode((await good(200, enrolling)).totp.secret)
  const confirming = jake.client.PUT('/user/factors/totp', { body: { factor: { code } } })
  const { recoveryCodes } = await good(200, confirming)
  const [first = '', second = ''] = recoveryCodes

  const body = { session: { email: jake.email, password } }
  const challenged = await good(202, jake.client.POST('/sessions', { body }))
  want('challenge' in challenged, 'a challenge')
  const challenge = { token: challenged.challenge.token, code: first }
  const answered = await good(201, jake.client.POST('/sessions/challenge', { body: { challenge } }))
  jake.session.token = answered.session.accessToken
  await refresh(jake, answered.session)
  const { factors } = await good(200, jake.client.GET('/user/factors'))
  want(factors.totpSince && factors.recoveryCodesLeft === recoveryCodes.length - 1, 'factors')
  const listed = await good(200, jake.client.GET('/user/sessions'))
  want(listed.sessions.find(({ current }) => current)?.acr === 'aal2', 'a session of two steps')
  await good(204, jake.client.DELETE('/user/factors/totp', { body: { factor: { code: second } } }))
}

/** Exports all that is a user's, and ends the session as OAuth has it. */
export async function leaving(api: string) {
  const { client, session, username } = await register(api, 'jake')
  const exported = (await good(200, client.GET('/user/export'))).export
  want(exported.account.username === username && exported.sessions.length === 1, 'exported')
  want((await good(200, client.GET('/user/passkeys'))).passkeys.length === 0, 'passkeys')
  await refused(403, client.GET('/admin/users'))
  const { token } = session
  session.token = '' // the operation takes the secret of a service, if any
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
  await good(200, client.POST('/revoke', { body: { token }, headers }))
  session.token = token
  await refused(401, client.GET('/user'))
}

/** Sends a request again with its key, as a client does that got no answer. */
export async function retries(api: string) {
  const { client } = await register(api, 'jake')
  const title = named('Once ')
  const headers = { 'Idempotency-Key': crypto.randomUUID() }
  const publish = (body: string) =>
    client.POST('/articles', { body: { article: { title, description: 'd', body } }, headers, parseAs: 'text' })
  const first = await publish('b')
  const again = await publish('b')
  want(first.response.status === 201 && again.response.status === 201, 'published')
  want(again.data === first.data && again.response.headers.get('Idempotent-Replayed') === 'true', 'the same answer')
  want((await refused(422, publish('another body'))).errors['idempotency-key'], 'a key of another request')
}

/** Follows what happens, from the beginning of the stream to a login on another device. */
export async function events(api: string) {
  const jake = await register(api, 'jake')
  const hangUp = new AbortController()
  const opening = jake.client.GET('/user/events', { parseAs: 'stream', signal: hangUp.signal })
  const stream = (await good(200, opening)).getReader()
  const decoder = new TextDecoder()
  let told = ''
  const until = async (what: RegExp) => {
    while (!what.test(told)) {
      const { done, value } = await stream.read()
      want(!done, `ended after ${told}`)
      told += decoder.decode(value, { stream: true })
    }
  }
  await until(/^retry: \d+\nid: .+\n\n/)
  const { id } = await begin(jake)
  await until(/^id: .+\nevent: login\ndata: .+\n\n/m)
  want(told.includes(JSON.stringify(id)), 'the session of the login')
  hangUp.abort()
}

/** Proves who is asking. */
export async function proofs(api: string) {
  const { client } = await register(api, 'jake')
  const prove = (password: string) => client.POST('/user/proofs', { body: { proof: { password } } })
  await refused(422, prove('another secret'))
  want((await good(200, prove(password))).proof.amr.includes('pwd'), 'proved')
  await refused(404, client.POST('/user/proofs/passkey-challenge')) // there are no passkeys
}

export const journeys = { realWorld, sessions, notices, pages, factors, leaving, retries, events, proofs }
