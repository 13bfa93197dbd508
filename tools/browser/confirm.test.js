// The page to which links in mail lead, used as a person uses it, in a real Chromium against a running server whose mail goes to
// its log.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { closeBrowser, link, visit } from './page.js'

const jake = { username: 'jake', email: 'jake@example.com', password: 'jakes secret' }

after(closeBrowser)

const send = (server, method, path, body) =>
  fetch(server.api + path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })

const login = async (server, password) =>
  (await send(server, 'POST', '/users/login', { user: { email: jake.email, password } })).status

const said = (page, text) => page.locator('#said').filter({ hasText: text }).waitFor()

describe('the page of links in mail', () => {
  test('completes a registration, with the password that was chosen', async (t) => {
    const { page, server, complaints } = await visit(t, '/', { args: ['--email-verification=required'] })
    assert.equal((await send(server, 'POST', '/users', { user: jake })).status, 202)
    await page.goto(await link(server, 'register'))
    assert.equal(new URL(page.url()).hash, '') // the code stays out of the history
    assert.equal(await login(server, jake.password), 401) // opening it has changed nothing
    await page.locator('#password').fill('another password')
    await page.locator('#button').click()
    await said(page, 'password is not right')
    await page.locator('#password').fill(jake.password)
    await page.locator('#button').click()
    await said(page, 'You can log in now.')
    assert.equal(await login(server, jake.password), 200)
    assert.deepEqual(complaints, [])
  })

  test('sets a new password, once, also by a code that somebody types', async (t) => {
    const { page, server, complaints } = await visit(t)
    await send(server, 'POST', '/users', { user: jake })
    await send(server, 'POST', '/password-resets', { passwordReset: { email: jake.email } })
    const code = (await link(server, 'reset')).slice(-26)
    await page.goto(`${server.origin}/confirm`)
    await page.locator('#action').selectOption('reset')
    await page.locator('#code').fill(` ${code.slice(0, 13).toLowerCase()}-${code.slice(13)} `)
    await page.locator('#password').fill('another password')
    await page.locator('#button').click()
    await said(page, 'The password is set.')
    assert.equal(await login(server, 'another password'), 200)
    await page.locator('#button').click()
    await said(page, 'This code is not good any more.')
    assert.deepEqual(complaints, [])
  })
})
