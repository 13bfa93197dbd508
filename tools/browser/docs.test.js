// The documentation page, used as a person uses it, in a real Chromium against a running server.
//
//   CONDUIT=path/to/conduit CHROMIUM=path/to/chromium node --test
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { block, closeBrowser, execute, lockIs, locked, unlocked, visit } from './page.js'

const example = { username: 'jake', email: 'jake@example.com', password: 'jakes secret' } // the contract's own

after(closeBrowser)

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
    await page.locator('.auth-container').getByText('Close', { exact: true }).click()
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
