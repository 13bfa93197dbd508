// The documentation page below a path of somebody else's host, through a real nginx.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { block, closeBrowser, execute, lockIs, locked, visit } from './page.js'
import { freePort, startNginx } from './nginx.js'

after(closeBrowser)

describe('the documentation page behind nginx', () => {
  for (const [name, strips, named] of [
    ['which leaves the path', false, true],
    ['which strips the path', true, true],
    ['which strips the path of a server that knows of none', true, false],
  ]) {
    test(name, async (t) => {
      const port = await freePort()
      const origin = `http://127.0.0.1:${port}`
      const { page, complaints } = await visit(t, '/blog/', {
        args: named ? [`--public-url=${origin}/blog`, '--demo'] : ['--demo'],
        behind: async (server) => {
          await startNginx(t, port, server, strips)
          return origin
        },
      })
      assert.equal(page.url(), `${origin}/blog/docs`)
      for (const [tag, operation, status, path] of [
        ['Users', 'createUser', 201, '/blog/api/users'],
        ['Users', 'getCurrentUser', 200, '/blog/api/user'],
        ['Articles', 'getArticle', 200, /^\/blog\/api\/articles\/.+/],
        ['Keys', 'getJwks', 200, '/blog/.well-known/jwks.json'],
      ]) {
        const answer = await execute(page, tag, operation)
        assert.equal(answer.status(), status, operation)
        const asked = new URL(answer.url()).pathname
        assert.ok(path instanceof RegExp ? path.test(asked) : path === asked, `${operation} asks ${asked}`)
      }
      await lockIs(page, locked)
      for (const file of ['openapi.yaml', 'openapi.json']) {
        const link = page.getByRole('navigation').getByRole('link', { name: file })
        assert.equal(await link.evaluate((a) => a.href), `${origin}/blog/${file}`)
      }
      await page.goto(`${origin}/blog/docs/#/Users/login`)
      await block(page, 'Users', 'login').locator('.execute').waitFor()
      assert.deepEqual(complaints, [])
    })
  }
})
