import { expect, test } from '@conduit/client/testing/playwright'

test('a token that has expired is refreshed, and nobody notices', async ({ page, world }) => {
  await world.loginAs('johndoe', { kind: 'session' })
  await page.goto('/')
  await expect(page.locator('#account')).toContainText('johndoe')

  await world.clock.advance(20 * 60)
  const refreshed = page.waitForResponse('**/sessions/refresh')
  await page.reload()
  expect((await refreshed).status()).toBe(200)
  await expect(page.locator('#account')).toContainText('johndoe')
})

test('a session that has ended: the page says so', async ({ page, world }) => {
  await world.loginAs('johndoe', { kind: 'session' })
  await page.goto('/')
  await expect(page.locator('#account')).toContainText('johndoe')

  await world.clock.advance(40 * 24 * 3600) // The page follows events, which end with their session.
  await expect(page.getByRole('status')).toHaveText('You have been logged out.')
  await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible()
})

test.describe('with the time of the world in the page', () => {
  test.use({
    frontEnd: async ({ frontEnd }, use) => {
      await use({ ...frontEnd, pageClock: true })
    },
  })

  test('both clocks move together', async ({ page, world }) => {
    await page.goto('/')
    expect(await page.evaluate(() => new Date().toISOString())).toBe('2026-01-02T12:00:00.000Z')
    await world.clock.set('2027-03-04T05:06:07Z')
    expect(await page.evaluate(() => new Date().toISOString())).toBe('2027-03-04T05:06:07.000Z')
    await world.reset()
    expect(await page.evaluate(() => new Date().toISOString())).toBe('2026-01-02T12:00:00.000Z')
  })

  test.describe('which runs', () => {
    test.use({ worldOptions: { at: '2026-01-02T12:00:00Z', frozen: false } })

    test('it runs in the page as well', async ({ page }) => {
      await page.goto('/')
      const now = () => page.evaluate(() => Date.now())
      const first = await now()
      expect(new Date(first).toISOString()).toMatch(/^2026-01-02T12:0/)
      await expect.poll(now).toBeGreaterThan(first)
    })
  })
})
