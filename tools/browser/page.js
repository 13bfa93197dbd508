// What the checks of the documentation page do with it.
import { readFile } from 'node:fs/promises'

import { chromium } from 'playwright-core'

import { browser } from '../chromium.mjs'
import { serve } from '../conduit.mjs'

// One browser serves all; each visit is somebody else's.
let launched
const open = () => (launched ??= chromium.launch(browser))

export const closeBrowser = async () => (await launched)?.close()

// visit starts a server of the test's own and opens its page as somebody who has never been there. complaints is what the browser
// finds wrong: errors, what the policy forbids, requests to anybody else.
export async function visit(t, path = '/', { args = [], behind, ...options } = {}) {
  const server = await serve({ args: ['--database=sqlite::memory:', ...args] })
  t.after(() => server.stop())
  if (behind) server.origin = await behind(server)
  const context = await (await open()).newContext({ viewport: { width: 1200, height: 860 }, ...options })
  t.after(() => context.close())
  const complaints = []
  context.on('request', (request) => {
    const url = new URL(request.url())
    if (url.protocol !== 'data:' && url.origin !== server.origin) complaints.push(`a request to ${url.origin}`)
  })
  context.on('console', (message) => {
    // What a person executes may be refused, which Chromium writes down as a failed resource.
    const refused = /^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text())
    if (['error', 'warning'].includes(message.type()) && !(refused && message.location().url.includes('/api/'))) {
      complaints.push(message.text())
    }
  })
  context.on('weberror', (fault) => complaints.push(String(fault.error())))
  await context.exposeFunction('noteViolation', (what) => complaints.push(`the policy forbids ${what}`))
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (e) => window.noteViolation(`${e.violatedDirective} ${e.blockedURI}`))
  })
  const page = await context.newPage()
  await page.goto(server.origin + path)
  await page.locator('.opblock').first().waitFor()
  return { server, page, complaints }
}

export const block = (page, tag, operation) => page.locator(`#operations-${tag}-${operation}`)

// execute presses the operation's Execute, with another body if one is given, and gives the answer that came over the network.
export async function execute(page, tag, operation, body) {
  const it = block(page, tag, operation)
  if (!(await it.locator('.execute').isVisible())) await it.locator('.opblock-summary-control').click()
  if (body) await it.locator('.body-param__text').fill(JSON.stringify(body))
  const answered = page.waitForResponse((response) => /\/(api|\.well-known)\//.test(response.url()))
  await it.locator('.execute').click()
  const response = await answered
  const shown = it.locator('.live-responses-table .response .response-col_status')
  await shown.filter({ hasText: String(response.status()) }).waitFor()
  return response
}

// link waits for the link of a message, which the server prints to its log where it has no mail server.
export async function link(server, action) {
  for (;;) {
    const [found] = server.log().match(new RegExp(`http\\S+#${action}=[A-Z2-7]{26}`)) ?? []
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

// withAuthenticator gives a page an authenticator that verifies its user, as a fingerprint does.
export async function withAuthenticator(page) {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('WebAuthn.enable')
  await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
}

// audit returns what axe-core finds wrong for people who use the page in other ways, as far as it is serious, but for some rules.
export async function audit(page, without) {
  await page.evaluate(await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8'))
  const rules = Object.fromEntries(without.map((rule) => [rule, { enabled: false }]))
  const { violations } = await page.evaluate((rules) => globalThis.axe.run({ rules }), rules)
  const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 100)).join(', ')}`)
}

export const lockIs = (page, state) => page.locator(`.auth-wrapper .authorize.${state}`).waitFor()
export const locked = 'locked'
export const unlocked = 'unlocked'
