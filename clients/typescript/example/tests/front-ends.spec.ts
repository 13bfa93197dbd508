// Front ends of other kinds than the example page come to their world as well.
import { expect, test } from '@conduit/client/testing/playwright'

const tags = (url: string) => fetch(url).then(async (answer) => (await answer.json()) as { tags: string[] })

test.describe('built for an API on https:', () => {
  test.use({ frontEnd: { apiUrl: 'https://api.example.com/api/' } })

  test('its requests go to the world, and what goes wrong there goes wrong here', async ({ page, world }) => {
    const { data } = await world.client.GET('/tags')
    await page.goto('/')
    expect(await page.evaluate(tags, 'https://api.example.com/api/tags')).toEqual(data)
    expect((await world.state()).requests).toBeGreaterThanOrEqual(2)

    await world.faults.set([{ operationId: 'getTags', broken: 'before' }])
    await expect(page.evaluate(tags, 'https://api.example.com/api/tags')).rejects.toThrow('Failed to fetch')
  })

  test('a test may end while requests are on their way', async ({ page, context, world }) => {
    await world.faults.set([{ operationId: 'getTags', delay: 30 }])
    await page.goto('/')
    const asked = page.waitForRequest('https://api.example.com/api/tags')
    const answer = page.evaluate(tags, 'https://api.example.com/api/tags').catch(() => 'gone')
    await asked
    await context.close()
    expect(await answer).toBe('gone')
  })
})

test.describe('below the path of its own page', () => {
  test.use({ frontEnd: { apiUrl: '/api' } })

  test('its requests go to the world, and others do not', async ({ page, world }) => {
    const { data } = await world.client.GET('/tags')
    await page.goto('/')
    expect(await page.evaluate(tags, '/api/tags')).toEqual(data)
    expect(await page.evaluate(() => fetch('/apis').then((answer) => answer.text()))).toContain(
      '<title>Conduit</title>',
    )
  })
})

test.describe('that reads a variable', () => {
  test.use({ frontEnd: { apiGlobal: 'CONDUIT_API' } })

  test('the variable has the base URL of the world', async ({ page, world }) => {
    await page.goto('/')
    expect(await page.evaluate(() => (globalThis as { CONDUIT_API?: string }).CONDUIT_API)).toBe(world.baseUrl)
  })
})

test.describe('that keeps what front ends of RealWorld keep', () => {
  test.use({ frontEnd: {} })

  test('the token is in localStorage, once', async ({ page, world }) => {
    const { token } = await world.loginAs('johndoe')
    await page.goto('/')
    const kept = () => page.evaluate(() => localStorage.getItem('jwtToken'))
    expect(await kept()).toBe(token)
    await page.evaluate(() => localStorage.removeItem('jwtToken'))
    await page.reload()
    expect(await kept()).toBeNull() // who logged out stays so
  })
})

test.describe('that keeps a cookie', () => {
  test.use({
    frontEnd: { keepSession: ({ token }, context, url) => context.addCookies([{ name: 'token', value: token, url }]) },
  })

  test('the cookie is there', async ({ page, world }) => {
    const jake = await world.register('jake')
    await page.goto('/')
    expect(await page.evaluate(() => document.cookie)).toBe(`token=${jake.token}`)
  })
})
