// The documentation page, used as a person uses it, in a real Chromium against a running server.
//
//   CONDUIT=path/to/conduit CHROMIUM=path/to/chromium node --test
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, describe, test } from 'node:test'

import {
  audit,
  block,
  closeBrowser,
  execute,
  link,
  lockIs,
  locked,
  unlocked,
  visit,
  withAuthenticator,
} from './page.js'

const example = { username: 'jake', email: 'jake@example.com', password: 'jakes secret' } // the contract's own

after(closeBrowser)

// codeOf gives what an authenticator app shows now (RFC 6238).
function codeOf(secret) {
  const bits = [...secret].map((digit) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(digit).toString(2).padStart(5, '0'),
  )
  const bytes = bits.join('').match(/.{8}/g)
  const key = Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const hash = createHmac('sha1', key).update(step).digest()
  return String((hash.readUInt32BE(hash.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

describe('the documentation page', { concurrency: 2 }, () => {
  test('register, and every locked call is authorized, over a reload and until logging out', async (t) => {
    const { page, complaints } = await visit(t)
    assert.equal(new URL(page.url()).pathname, '/docs')
    await lockIs(page, unlocked)

    assert.equal((await execute(page, 'Users', 'createUser')).status(), 201)
    await lockIs(page, locked)
    const read = await execute(page, 'Users', 'getCurrentUser')
    assert.equal(read.status(), 200)
    assert.equal((await read.json()).user.username, example.username)

    await page.reload()
    await lockIs(page, locked)
    assert.equal((await execute(page, 'Users', 'getCurrentUser')).status(), 200)
    // Where a token is optional it is sent as well.
    const optional = await execute(page, 'Articles', 'getArticles')
    assert.match(optional.request().headers().authorization, /^Bearer ey/)

    assert.equal((await execute(page, 'Users', 'logout')).status(), 204)
    await lockIs(page, unlocked)
    assert.equal((await execute(page, 'Users', 'getCurrentUser')).status(), 401)
    assert.deepEqual(complaints, [])
  })

  test('log in, by either kind of token, and log out in the dialog', async (t) => {
    const { page, complaints } = await visit(t)
    await execute(page, 'Users', 'createUser')
    await page.locator('.auth-wrapper .authorize').click()
    await page.locator('.auth-container').getByText('Logout', { exact: true }).click()
    await page.locator('.auth-container').getByText('Close', { exact: true }).first().click()
    await lockIs(page, unlocked)
    assert.equal((await execute(page, 'Users', 'getCurrentUser')).status(), 401)

    const wrong = { user: { email: example.email, password: 'wrong password' } }
    assert.equal((await execute(page, 'Users', 'login', wrong)).status(), 401)
    await lockIs(page, unlocked)
    const right = { user: { email: example.email, password: example.password } }
    assert.equal((await execute(page, 'Users', 'login', right)).status(), 200)
    await lockIs(page, locked)
    await execute(page, 'Users', 'logout')
    await lockIs(page, unlocked)

    const created = await execute(page, 'Sessions', 'createSession')
    assert.equal(created.status(), 201)
    await lockIs(page, locked)
    const { refreshToken } = (await created.json()).session
    assert.equal((await execute(page, 'Sessions', 'refreshSession', { session: { refreshToken } })).status(), 200)
    assert.equal((await execute(page, 'Users', 'getCurrentUser')).status(), 200)
    assert.deepEqual(complaints, [])
  })

  test('the lock opens when its token has died, and when the account is gone', async (t) => {
    const { page, server, complaints } = await visit(t)
    const created = await execute(page, 'Users', 'createUser')
    await lockIs(page, locked)
    const { token } = (await created.json()).user
    await fetch(`${server.api}/users/logout`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } }) // on another device
    assert.equal((await execute(page, 'Users', 'getCurrentUser')).status(), 401)
    await lockIs(page, unlocked)

    await execute(page, 'Users', 'login')
    await lockIs(page, locked)
    assert.equal((await execute(page, 'Users', 'deleteCurrentUser')).status(), 204)
    await lockIs(page, unlocked)
    assert.deepEqual(complaints, [])
  })

  test('make a passkey, and log in with it', async (t) => {
    const localhost = ({ origin }) => origin.replace('127.0.0.1', 'localhost')
    const { page, complaints } = await visit(t, '/', { behind: localhost })
    await withAuthenticator(page)
    const body = (operation) => block(page, 'Passkeys', operation).locator('.body-param__text')
    const ready = (path) => page.getByRole('status').getByText(`Execute POST ${path} now`).waitFor()
    assert.equal((await execute(page, 'Users', 'createUser')).status(), 201)

    assert.equal((await execute(page, 'Passkeys', 'createPasskeyChallenge')).status(), 200)
    await ready('/user/passkeys')
    const created = await execute(page, 'Passkeys', 'createPasskey')
    assert.equal(created.status(), 201, await created.text())
    assert.equal((await execute(page, 'Passkeys', 'createPasskeyProofChallenge')).status(), 200)
    await ready('/user/proofs/passkey')
    const proved = await execute(page, 'Passkeys', 'createPasskeyProof')
    assert.equal(proved.status(), 200, await proved.text())
    assert.equal((await execute(page, 'Users', 'logout')).status(), 204)
    await lockIs(page, unlocked)

    // Also while the operation is open already.
    await block(page, 'Passkeys', 'createPasskeySession').locator('.opblock-summary-control').click()
    await body('createPasskeySession').waitFor()
    assert.equal((await execute(page, 'Passkeys', 'createPasskeyLoginChallenge')).status(), 200)
    await ready('/sessions/passkey')
    const began = await execute(page, 'Passkeys', 'createPasskeySession')
    assert.equal(began.status(), 201, await began.text())
    await lockIs(page, locked)
    for (const [operation, status] of [
      ['getPasskeys', 200],
      ['updatePasskey', 200],
      ['deletePasskey', 204],
    ]) {
      assert.equal((await execute(page, 'Passkeys', operation)).status(), status, operation)
    }
    assert.deepEqual(complaints, [])
  })

  test('where a page has no passkeys, it says where there are some', async (t) => {
    const { page } = await visit(t)
    await execute(page, 'Passkeys', 'createPasskeyLoginChallenge')
    await page
      .getByRole('status')
      .getByText('The passkeys of this server are for localhost: open this page there.')
      .waitFor()
  })

  // run executes an operation, as it stands or with a body, and returns its answer.
  const run = async (page, tag, operation, status, sent) => {
    const response = await execute(page, tag, operation, sent)
    const body = await response.text()
    assert.equal(response.status(), status, `${operation}: ${response.url()} ${body}`)
    return body && JSON.parse(body)
  }

  // Every operation, in the order in which somebody would try it.
  test('each operation shows what a reader hopes for as it stands', async (t) => {
    const { page, server, complaints } = await visit(t, '/', { args: ['--demo'] })
    const seen = new Set()
    const shows = async (tag, operation, status, isRight = () => true, sent = undefined) => {
      const body = await run(page, tag, operation, status, sent)
      assert.ok(isRight(body), `${operation}: ${JSON.stringify(body)}`)
      seen.add(operation)
      await block(page, tag, operation).locator('.opblock-summary-control').click() // a long page is a slow one
      return body
    }
    // takes is shows for an operation that takes a secret which no example can have.
    const takes = (tag, operation, status, sent) => shows(tag, operation, status, undefined, sent)
    // takesCode is shows for an operation that takes the code of a message.
    const takesCode = async (operation, action) => {
      const it = block(page, 'Emails', operation)
      await it.locator('.opblock-summary-control').click()
      await it.getByPlaceholder('code').fill((await link(server, action)).slice(-26))
      await shows('Emails', operation, 204)
    }
    await shows('Users', 'createUser', 201)
    await shows('Users', 'login', 200)
    await shows('Users', 'getCurrentUser', 200)
    await shows('Articles', 'getArticles', 200, ({ articles }) => articles.length === 20)
    await shows('Articles', 'getArticle', 200)
    await shows('Favorites', 'createArticleFavorite', 200, ({ article }) => article.favorited)
    await shows('Favorites', 'deleteArticleFavorite', 200, ({ article }) => !article.favorited)
    await shows('Profiles', 'getProfileByUsername', 200, ({ profile }) => !profile.following)
    await shows('Profiles', 'followUserByUsername', 200, ({ profile }) => profile.following)
    await shows('Articles', 'getArticlesFeed', 200, ({ articles }) => articles.length > 0)
    await shows('Profiles', 'unfollowUserByUsername', 200, ({ profile }) => !profile.following)
    await shows('Tags', 'getTags', 200, ({ tags }) => tags.length > 10)
    await shows('Keys', 'getJwks', 200)
    await shows('Articles', 'createArticle', 201)
    await shows('Articles', 'updateArticle', 200)
    await shows('Comments', 'createArticleComment', 201)
    await shows('Comments', 'getArticleComments', 200, ({ comments }) => comments.length === 1)
    await shows('Comments', 'deleteArticleComment', 204)
    await shows('Articles', 'deleteArticle', 204)
    await shows('Users', 'updateCurrentUser', 200)
    await shows('Users', 'exportCurrentUser', 200)
    await shows('Sessions', 'createSession', 201)
    await shows('Sessions', 'refreshSession', 200)
    await shows('Sessions', 'refreshSession', 200)
    await shows('Sessions', 'getSessions', 200, ({ sessions }) => sessions.length > 1)
    await shows('Sessions', 'deleteOtherSessions', 204)
    await shows('Sessions', 'deleteSession', 204)
    await shows('Users', 'login', 200)
    await shows('Users', 'logout', 204)
    await shows('Users', 'login', 200)
    await shows('Emails', 'requestEmailVerification', 202)
    await takesCode('confirmEmail', 'verify')
    await shows('Emails', 'requestPasswordReset', 202)
    await takesCode('resetPassword', 'reset')
    await shows('Users', 'login', 200)
    await shows('Sessions', 'createProof', 200)
    const { totp } = await shows('Factors', 'enrolTotp', 200)
    const factor = { code: codeOf(totp.secret) }
    const { recoveryCodes: former } = await takes('Factors', 'confirmTotp', 200, { factor })
    const renewed = await takes('Factors', 'createRecoveryCodes', 200, { factor: { code: former[0] } })
    const [first, second] = renewed.recoveryCodes
    await shows('Factors', 'getFactors', 200, ({ factors }) => factors.totpSince && factors.recoveryCodesLeft === 10)
    const { token } = (await shows('Sessions', 'createSession', 202)).challenge
    await takes('Sessions', 'answerChallenge', 201, { challenge: { token, code: first } })
    await takes('Factors', 'removeTotp', 204, { factor: { code: second } })
    await shows('Users', 'deleteCurrentUser', 204)
    const operations = await page
      .locator('.opblock')
      .evaluateAll((blocks) =>
        blocks.filter(({ id }) => !/-(Passkeys|Admin|Tokens)-/.test(id)).map(({ id }) => id.split('-').at(-1)),
      ) // passkeys need a domain, and have a test of their own; the others a role, or the secret of a service
    assert.deepEqual(
      operations.filter((id) => !seen.has(id)),
      ['streamUserEvents', 'getServerMetadata'], // a stream has no end to show; the other needs a public URL
    )
    assert.deepEqual(complaints, [])
  })

  test('on an empty server operations take what was made on the page', async (t) => {
    const { page } = await visit(t)
    await run(page, 'Users', 'createUser', 201)
    assert.deepEqual((await run(page, 'Articles', 'getArticles', 200)).articles, [])
    await run(page, 'Articles', 'createArticle', 201)
    await run(page, 'Articles', 'createArticle', 201) // the second one, whose slug is no longer the example's
    const { article } = await run(page, 'Articles', 'getArticle', 200)
    assert.notEqual(article.slug, 'how-to-train-your-dragon')
  })

  for (const options of [{}, { colorScheme: 'dark' }, { viewport: { width: 320, height: 700 } }]) {
    test(`it can be read by everybody: ${JSON.stringify(options)}`, async (t) => {
      const { page, complaints } = await visit(t, '/', options)
      await execute(page, 'Users', 'createUser')
      await execute(page, 'Articles', 'getArticles')
      // Of the page's own making, beside what Swagger UI is: buttons within buttons, and its colours.
      const found = await audit(page, ['color-contrast', 'nested-interactive'])
      assert.deepEqual(found, [])
      const [width, colour] = await page.evaluate(() => [
        document.documentElement.scrollWidth - innerWidth,
        getComputedStyle(document.body).backgroundColor,
      ])
      assert.equal(width, 0, 'the page scrolls sideways')
      assert.equal(colour, options.colorScheme === 'dark' ? 'rgb(28, 32, 34)' : 'rgb(250, 250, 250)')
      await page.emulateMedia({ colorScheme: options.colorScheme === 'dark' ? 'light' : 'dark' })
      await page.locator(options.colorScheme === 'dark' ? 'html:not(.dark-mode)' : 'html.dark-mode').waitFor()
      assert.deepEqual(complaints, [])
    })
  }

  test('links lead to an operation, the filter finds one, and the files are a click away', async (t) => {
    const { page, server, complaints } = await visit(t, '/docs#/Articles/getArticlesFeed')
    await block(page, 'Articles', 'getArticlesFeed').locator('.execute').waitFor()
    await block(page, 'Users', 'createUser').locator('.opblock-summary-control').click()
    assert.equal(new URL(page.url()).hash, '#/Users/createUser')

    await page.getByPlaceholder('Filter by tag').fill('Favorites')
    await block(page, 'Users', 'createUser').waitFor({ state: 'detached' })
    assert.equal(await page.locator('.opblock').count(), 2)

    for (const name of ['openapi.yaml', 'openapi.json']) {
      const link = page.getByRole('navigation').getByRole('link', { name })
      assert.equal(await link.evaluate((a) => a.href), `${server.origin}/${name}`)
    }
    assert.deepEqual(complaints, [])
  })

  test('the changelog is a link away, and marks what is breaking', async (t) => {
    const { page, complaints } = await visit(t)
    await page.getByRole('navigation').getByRole('link', { name: 'Changelog' }).click()
    await page.getByRole('heading', { name: 'Unreleased' }).waitFor()
    const release = page.locator('section').filter({ has: page.getByRole('heading', { name: /^1\.0\.0/ }) })
    const mark = release.getByRole('heading', { name: 'Breaking' })
    assert.notEqual(
      await mark.evaluate((h) => getComputedStyle(h).color),
      await page.getByRole('heading', { name: 'Unreleased' }).evaluate((h) => getComputedStyle(h).color),
    )
    await page.goto(`${page.url()}#1.0.0`)
    assert.ok(await release.getByText('GET /user/sessions').first().isVisible())
    await page.getByRole('link', { name: 'Documentation' }).click()
    await page.locator('.opblock').first().waitFor()
    assert.deepEqual(complaints, [])
  })

  test('the policy holds: a script that stands in the page does not run', async (t) => {
    const { page, complaints } = await visit(t)
    const ran = await page.evaluate(async () => {
      const forbidden = new Promise((resolve) => addEventListener('securitypolicyviolation', resolve))
      const script = document.createElement('script')
      script.textContent = 'window.ran = true'
      document.body.append(script)
      await forbidden
      return window.ran ?? false
    })
    assert.equal(ran, false)
    assert.match(complaints.join('\n'), /the policy forbids script-src/)
  })
})
