import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { build, preview, type PreviewServer } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test, vi } from 'vitest'

import { browser as launchOptions } from '../../../tools/chromium.mjs'
import { addApp, client, password, publish, register } from './people.js'
import { startServer } from './server.js'
import { refreshing } from './wire.js'

const api = inject('api')
const port = inject('pagePort')
// Browsers have passkeys by this name, and not by an IP address.
const origin = `http://localhost:${port}`
const root = path.resolve(import.meta.dirname, '../example')

let folder: string
let server: PreviewServer
let browser: Browser
let context: BrowserContext
let page: Page

/** What the pages of a test did: their errors, and their requests as `METHOD URL`. */
let failures: string[]
let requests: string[]
/** Chromium logs each answer of 4xx as an error. Tests that cause one look at what the page makes of it. */
let expectedFailure: RegExp

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'conduit-example-'))
  const shared = { root, logLevel: 'error', build: { outDir: folder, emptyOutDir: true } } as const
  await build({ ...shared, define: { 'import.meta.env.VITE_CONDUIT_API': JSON.stringify(api) } })
  // On another port, so another origin: every call needs CORS.
  server = await preview({ ...shared, preview: { host: '127.0.0.1', port, strictPort: true } })
  browser = await chromium.launch(launchOptions)
})

afterAll(async () => {
  await browser?.close()
  await server?.close()
  await rm(folder, { recursive: true })
})

beforeEach(async () => {
  failures = []
  requests = []
  expectedFailure = /Failed to load resource.* status of 4\d\d/
  context = await browser.newContext()
  context.on('request', (request) => requests.push(`${request.method()} ${request.url()}`))
  context.on('weberror', (error) => failures.push(String(error.error())))
  context.on('console', (message) => {
    if (message.type() === 'error' && !expectedFailure.test(message.text())) {
      failures.push(message.text())
    }
  })
  page = await context.newPage()
})

afterEach(async () => {
  await context.close()
  expect(failures).toEqual([])
  expect(new Set(requests.map((request) => new URL(request.split(' ')[1]!).origin))).toEqual(
    new Set([origin, new URL(api).origin]),
  )
})

const button = (name: string | RegExp, within: Page = page) => within.getByRole('button', { name })
const titles = () => page.getByRole('heading', { level: 3 }).allTextContents()
const refreshes = () => requests.filter((request) => request === refreshing.replace(' ', ` ${api}`)).length

async function logIn(email: string, secret = password) {
  await page.getByLabel('Email').fill(email)
  await page.getByLabel('Password', { exact: true }).fill(secret)
  await button('Log in').click()
}

/** Makes the kept access token a bad one, as it is after a while. The refresh token stays. */
const ageTokens = () =>
  page.evaluate(() => {
    const tokens = JSON.parse(localStorage.getItem('conduit.tokens')!)
    localStorage.setItem('conduit.tokens', JSON.stringify({ ...tokens, token: 'stale' }))
  })

const keptTokens = () => page.evaluate(() => localStorage.getItem('conduit.tokens'))

test('errors stand beside their fields', async () => {
  const { email } = await register()
  await page.goto(origin)
  await logIn('', '')
  await page.locator('#email-error', { hasText: "can't be blank" }).waitFor()
  await page.locator('#password-error', { hasText: "can't be blank" }).waitFor()
  expect(await page.getByLabel('Email').getAttribute('aria-invalid')).toBe('true')

  await logIn(email, 'wrong password')
  await page.getByRole('alert').getByText('credentials invalid').waitFor()
  expect(await page.locator('#email-error').textContent()).toBe('')
  expect(await page.getByLabel('Email').getAttribute('aria-invalid')).toBe('false')
  expect(await keptTokens()).toBeNull()
})

test('log in, favourite, reload, go on through a refresh, log out', async () => {
  const person = await register()
  const title = `<b>Bold</b> ${person.username}`
  const slug = await publish(person, title)
  await page.goto(origin)
  const item = page.getByRole('listitem').filter({ hasText: person.username })
  await item.waitFor()
  expect(await item.getByRole('heading').textContent()).toBe(title)
  expect(
    await button(/Favourite/)
      .first()
      .isDisabled(),
  ).toBe(true)

  await logIn(person.email)
  await page.locator('#account', { hasText: person.username }).waitFor()
  expect(await page.locator('#login').isHidden()).toBe(true)
  const favorite = (pressed: boolean, count: number) =>
    item.getByRole('button', { name: `Favourite (${count})`, pressed, disabled: false })
  await favorite(false, 0).click()
  await favorite(true, 1).waitFor()

  await page.reload()
  await favorite(true, 1).waitFor()
  expect(refreshes()).toBe(0)

  // The list is open to everybody, and would be that of an anonymous reader.
  await ageTokens()
  await page.reload()
  await favorite(true, 1).waitFor()
  await page.locator('#account', { hasText: person.username }).waitFor()
  expect(refreshes()).toBe(1)
  expect(await keptTokens()).not.toContain('stale')

  await favorite(true, 1).click()
  await favorite(false, 0).waitFor()
  const { data } = await client({ tokens: person }).GET('/articles/{slug}', { params: { path: { slug } } })
  expect(data?.article.favoritesCount).toBe(0)

  await button('Log out').click()
  await button('Log in').waitFor()
  expect(await keptTokens()).toBeNull()
  expect(await page.locator('#account').isHidden()).toBe(true)
  expect(refreshes()).toBe(1)
})

test('what happens is listed as it happens', async () => {
  const [person, author] = [await register(), await register()]
  const conduit = client({ tokens: person })
  const params = { path: { username: author.username } }
  expect((await conduit.POST('/profiles/{username}/follow', { params })).status).toBe(200)
  await page.goto(origin)
  expect(await page.locator('#live').isHidden()).toBe(true)
  await logIn(person.email)
  await page.locator('#live[data-open=true]').waitFor()
  await publish(author, `<i>News</i> of ${author.username}`)
  await page.getByText(`${author.username} published “<i>News</i> of ${author.username}”.`).waitFor()
})

test('a second factor is asked for, and taken', async () => {
  const person = await register()
  const [recoveryCode] = await addApp(person)
  await page.goto(origin)
  const code = page.getByLabel('Code of your authenticator app')
  expect(await code.isHidden()).toBe(true)
  await logIn(person.email)
  await code.fill('123456')
  await button('Log in').click()
  await page.locator('#code-error', { hasText: 'is not right' }).waitFor()
  expect(await keptTokens()).toBeNull()

  await code.fill(recoveryCode!)
  await button('Log in').click()
  await page.locator('#account', { hasText: person.username }).waitFor()
  expect(await page.locator('#login').isHidden()).toBe(true)
})

test('a forgotten password: the mail has a code that sets another one', async () => {
  const mailing = await startServer() // with a log of its own, where its mail goes
  try {
    await page.route(`${api}/**`, (route) => {
      void route.continue({ url: route.request().url().replace(api, mailing.api) })
    })
    await page.goto(origin)
    await button('Forgot your password?').click()
    await page.locator('#email-error', { hasText: "can't be blank" }).waitFor()
    await page.getByLabel('Email').fill('johndoe@example.com')
    await button('Forgot your password?').click()
    await page.getByRole('status').getByText('a mail with a link is on its way').waitFor()

    const code = await vi.waitFor(() => /#reset=([A-Z2-7]{26})/.exec(mailing.log())![1]!, { timeout: 20_000 })
    const reset = { params: { path: { code } }, body: { passwordReset: { password } } }
    expect(await client({ baseUrl: mailing.api }).PUT('/password-resets/{code}', reset)).toMatchObject({ status: 204 })
    await logIn('johndoe@example.com')
    await page.locator('#account', { hasText: 'johndoe' }).waitFor()
  } finally {
    await page.goto('about:blank') // No longer follows what happens there.
    await mailing.stop()
  }
})

/** Gives the page an authenticator that verifies its user, as a phone's fingerprint does. */
async function addAuthenticator(verified = true) {
  const devtools = await context.newCDPSession(page)
  await devtools.send('WebAuthn.enable')
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: verified,
      automaticPresenceSimulation: true,
    },
  })
  const by = { authenticatorId }
  return {
    credentials: async () => (await devtools.send('WebAuthn.getCredentials', by)).credentials,
    verify: (isUserVerified: boolean) => devtools.send('WebAuthn.setUserVerified', { ...by, isUserVerified }),
  }
}

test('a passkey: add it, log in with it and nothing else, remove it', async () => {
  const person = await register()
  await page.goto(origin)
  const authenticator = await addAuthenticator()
  await logIn(person.email)
  await button('Add a passkey').click()
  const remove = button(/^Remove Passkey on/)
  await remove.waitFor()
  const [made] = await authenticator.credentials()
  expect(made).toMatchObject({ isResidentCredential: true, rpId: 'localhost', userName: person.username })
  await button('Add a passkey').click()
  await page.getByRole('status').getByText('This device has a passkey of yours already.').waitFor()

  await button('Log out').click()
  await button('Use a passkey').click()
  await page.locator('#account', { hasText: person.username }).waitFor()
  const session = JSON.parse((await keptTokens())!)
  const { data } = await client({ tokens: session }).GET('/user/sessions')
  expect(data?.sessions.find((one) => one.current)).toMatchObject({ acr: 'aal2' })
  expect((await authenticator.credentials())[0]!.signCount).toBeGreaterThan(made!.signCount)

  await remove.click()
  await remove.waitFor({ state: 'detached' })
  await page.locator('#account', { hasText: person.username }).waitFor() // they stay logged in
  await button('Log out').click()
  await button('Use a passkey').click()
  await page.getByRole('alert').getByText('credentials invalid').waitFor()
  expect(await keptTokens()).toBeNull()
})

test('a passkey whose user is not verified is not used', async () => {
  const person = await register()
  await page.goto(origin)
  const authenticator = await addAuthenticator()
  await logIn(person.email)
  await button('Add a passkey').click()
  await button(/^Remove Passkey on/).waitFor()
  await button('Log out').click()
  await authenticator.verify(false)
  await button('Use a passkey').click()
  await page.getByRole('status').getByText('No passkey was used.').waitFor()
  expect(await keptTokens()).toBeNull()
})

test('the server asks for a fresh proof first: the page takes the password, or a passkey', async () => {
  const person = await register()
  await page.goto(origin)
  await addAuthenticator()
  await logIn(person.email)
  await button('Add a passkey').waitFor()
  const headers = { 'Access-Control-Allow-Origin': '*', 'WWW-Authenticate': 'Bearer max_age=600' }
  const stale = { status: 403, headers, json: { errors: { proof: ['is required'] } } }
  const ask = async () => {
    await page.route('**/user/passkeys/challenge', (route) => route.fulfill(stale), { times: 1 })
    await button('Add a passkey').click()
  }
  await ask()
  await page.getByLabel('Your password').fill('wrong password')
  await button('It is me').click()
  await page.getByRole('alert').getByText('is not right').waitFor()
  await page.getByLabel('Your password').fill(password)
  await button('It is me').click()
  await page.locator('#proof').waitFor({ state: 'hidden' })
  await button('Add a passkey').click()
  await button(/^Remove Passkey on/).waitFor()
  await ask()
  await button('Prove it by passkey').click()
  await page.locator('#proof').waitFor({ state: 'hidden' })
})

test('a passkey instead of a code', async () => {
  const person = await register()
  await page.goto(origin)
  await addAuthenticator()
  await logIn(person.email)
  await button('Add a passkey').click()
  await button(/^Remove Passkey on/).waitFor()
  await button('Log out').click()
  await addApp(person)
  await logIn(person.email)
  await page.getByLabel('Code of your authenticator app').waitFor()
  await button('Use a passkey').click()
  await page.locator('#account', { hasText: person.username }).waitFor()
  const session = JSON.parse((await keptTokens())!)
  const { data } = await client({ tokens: session }).GET('/user/sessions')
  expect(data?.sessions.find((one) => one.current)?.amr).toEqual(expect.arrayContaining(['pwd', 'user', 'mfa']))
})

test('pages by cursor, there and back', async () => {
  await page.goto(origin)
  await page.getByRole('listitem').first().waitFor()
  expect(await button('Newer').isDisabled()).toBe(true)
  const first = await titles()
  await button('Older').click()
  await page.locator('#newer:enabled').waitFor()
  const second = await titles()
  expect(second).toHaveLength(first.length)
  expect(second).not.toEqual(first)
  await button('Newer').click()
  await page.locator('#newer:disabled ~ #older:enabled').waitFor()
  expect(await titles()).toEqual(first)
})

test('no network: the page says so, and works again afterwards', async () => {
  expectedFailure = /net::ERR_INTERNET_DISCONNECTED/
  await page.goto(origin)
  await page.locator('#older:enabled').waitFor()
  const first = await titles()
  await context.setOffline(true)
  await button('Older').click()
  await page.getByRole('status').getByText('The server cannot be reached. Try again.').waitFor()
  expect(await titles()).toEqual(first)
  await context.setOffline(false)
  await button('Older').click()
  await page.locator('#newer:enabled').waitFor()
  expect(await titles()).not.toEqual(first)
})

test('a session that is ended elsewhere: the page says so at once, and once', async () => {
  const person = await register()
  await page.goto(origin)
  await logIn(person.email)
  await page.locator('#account', { hasText: person.username }).waitFor()
  await page.locator('#live[data-open=true]').waitFor()
  await client({ tokens: person }).DELETE('/user/sessions')
  await page.getByRole('status').getByText('You have been logged out.').waitFor()
  await button('Log in').waitFor()
  expect(await keptTokens()).toBeNull()
  expect(refreshes()).toBe(1)
})

test('tabs follow each other: logging in, newer tokens, logging out', async () => {
  const person = await register()
  const other = await context.newPage()
  await Promise.all([page.goto(origin), other.goto(origin)])
  await logIn(person.email)
  await other.locator('#account', { hasText: person.username }).waitFor()

  await ageTokens()
  await page.reload()
  await page.locator('#account', { hasText: person.username }).waitFor()
  expect(refreshes()).toBe(1)
  // The other tab has the newer tokens too, so that it neither refreshes nor is logged out.
  await button(/Favourite/, other)
    .last()
    .click()
  await button(/Favourite/, other)
    .and(other.locator('[aria-pressed=true]'))
    .last()
    .waitFor()
  expect(refreshes()).toBe(1)

  await button('Log out', other).click()
  await button('Log in').waitFor()
  expect(await page.locator('#account').isHidden()).toBe(true)
})

test('a page that comes back from the back/forward cache looks what became of the tokens', async () => {
  const person = await register()
  await page.goto(origin)
  await logIn(person.email)
  await page.locator('#account', { hasText: person.username }).waitFor()
  await page.evaluate(() => {
    localStorage.clear() // As another tab did it. In the tab itself there is no storage event for it.
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))
  })
  await button('Log in').waitFor()
  expect(await page.locator('#account').isHidden()).toBe(true)
})
