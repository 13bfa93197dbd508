import { createWorld } from '@conduit/client/testing'
import { expect, openToPages, test } from '@conduit/client/testing/playwright'

test('two worlds of a seed look the same, byte for byte', async ({
  browser,
  conduit,
  worldOptions,
  frontEnd,
  baseURL,
}) => {
  const shots = [1, 2].map(async () => {
    await using world = await createWorld(worldOptions, conduit)
    const context = await browser.newContext({ baseURL: baseURL! })
    const open = openToPages(world, frontEnd, baseURL)
    await open.attach(context)
    await open.loginAs('johndoe', { kind: 'session' })
    const page = await context.newPage()
    await page.goto('/')
    await expect(page.getByRole('listitem')).toHaveCount(5)
    const favorite = page.getByRole('button', { name: /Favourite/ }).first()
    const pressed = (await favorite.getAttribute('aria-pressed')) === 'true'
    await favorite.click()
    await expect(favorite).toHaveAttribute('aria-pressed', String(!pressed))
    const shot = await page.screenshot({ fullPage: true })
    await context.close()
    return shot
  })
  const [first, second] = await Promise.all(shots)
  expect(first!.equals(second!)).toBe(true)
})

test('a world that was reset looks as it did', async ({ page, world }) => {
  const shoot = async () => {
    await page.goto('/')
    await expect(page.getByRole('listitem')).toHaveCount(5)
    return page.screenshot({ fullPage: true })
  }
  const before = await shoot()
  const jake = await world.register('jake', { kind: 'session' })
  const article = { title: 'News', description: 'There are some', body: 'This is new' }
  expect(await jake.client.POST('/articles', { body: { article } })).toMatchObject({ status: 201 })
  expect((await shoot()).equals(before)).toBe(false)
  await world.reset()
  await page.evaluate(() => localStorage.clear())
  expect((await shoot()).equals(before)).toBe(true)
})
