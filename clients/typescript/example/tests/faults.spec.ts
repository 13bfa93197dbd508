import { expect, test } from '@conduit/client/testing/playwright'

test('the next two logins are refused by what the contract shows', async ({ page, world }) => {
  await world.faults.set([{ operationId: 'createSession', status: 422, times: 2 }])
  await page.goto('/')
  await page.getByLabel('Email').fill('johndoe@example.com')
  await page.getByLabel('Password', { exact: true }).fill('password123')
  const logIn = page.getByRole('button', { name: 'Log in' })
  for (const met of [1, 2]) {
    await logIn.click()
    await expect.poll(async () => (await world.faults.list())[0]).toMatchObject({ met, times: 2 - met })
  }
  await expect(page.locator('#account')).toBeHidden()
  await logIn.click()
  await expect(page.locator('#account')).toContainText('johndoe')
})

test('a server that is away (503): the page says what it said, and works again', async ({ page, world }) => {
  await world.faults.set([{ operationId: 'getArticles', status: 503 }])
  await page.goto('/')
  await expect(page.getByRole('status')).not.toBeEmpty()
  await expect(page.getByRole('listitem')).toHaveCount(0)

  await world.faults.clear()
  await page.reload()
  await expect(page.getByRole('listitem')).toHaveCount(5)
})

test('a connection that breaks: the page says that there is no server', async ({ page, world }) => {
  await page.goto('/')
  await expect(page.getByRole('listitem')).toHaveCount(5)
  await world.faults.set([{ operationId: 'getArticles', broken: 'before' }])
  await page.getByRole('button', { name: 'Older' }).click()
  await expect(page.getByRole('status')).toHaveText('The server cannot be reached. Try again.')
})

test('a slow answer: the buttons wait for it', async ({ page, world }) => {
  await page.goto('/')
  const older = page.getByRole('button', { name: 'Older' })
  await expect(older).toBeEnabled()
  await world.faults.set([{ operationId: 'getArticles', delay: 0.5, times: 1 }])
  await older.click()
  await expect(older).toBeDisabled()
  await expect(older).toBeEnabled()
})
