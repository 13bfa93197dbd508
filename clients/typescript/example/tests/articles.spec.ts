import { expect, test } from '@conduit/client/testing/playwright'

test('everybody reads', async ({ page }) => {
  await page.goto('/')
  await expect(page.getByRole('listitem')).toHaveCount(5)
  await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible()
})

// The same in several tests, which run at the same time: each finds the world as it was made.
for (const reader of ['first', 'second', 'third', 'fourth']) {
  test(`the ${reader} to favourite an article is the only one`, async ({ page, world }) => {
    const john = await world.loginAs('johndoe', { kind: 'session' })
    await page.goto('/')
    await expect(page.locator('#account')).toContainText('johndoe')

    const article = page
      .getByRole('listitem')
      .filter({ has: page.locator('[aria-pressed=false]') })
      .first()
    const count = article.locator('.count')
    const before = Number(await count.textContent())
    const title = await article.getByRole('heading').textContent()
    await article.getByRole('button').click()
    const marked = page.getByRole('listitem').filter({ hasText: title! })
    await expect(marked.getByRole('button')).toHaveAttribute('aria-pressed', 'true')
    await expect(marked.locator('.count')).toHaveText(String(before + 1))

    // What the page did can be looked up as well.
    const favorites = await john.client.GET('/articles', { params: { query: { favorited: 'johndoe', limit: 100 } } })
    expect(favorites.ok && favorites.data.articles.map((one) => one.title)).toContain(title)
  })
}

test('an article of somebody new comes first', async ({ page, world }) => {
  const jake = await world.register('jake', { kind: 'session' })
  const article = { title: 'How to train your dragon', description: 'Ever wonder how?', body: 'You have to believe' }
  expect(await jake.client.POST('/articles', { body: { article } })).toMatchObject({ status: 201 })
  await page.goto('/')
  await expect(page.getByRole('listitem').first()).toContainText('How to train your dragon')
})

test('somebody logs in by hand, and is still logged in after a reload', async ({ page }) => {
  await page.goto('/')
  await page.getByLabel('Email').fill('johndoe@example.com')
  await page.getByLabel('Password', { exact: true }).fill('password123')
  await page.getByRole('button', { name: 'Log in' }).click()
  await expect(page.locator('#account')).toContainText('johndoe')
  await page.reload()
  await expect(page.locator('#account')).toContainText('johndoe')
})
