// Takes the picture of the documentation page that README.md shows: node screenshot.js FILE
import { after, test } from 'node:test'

import { block, closeBrowser, execute, visit } from './page.js'

after(closeBrowser)

test('the picture', async (t) => {
  const { page } = await visit(t)
  await execute(page, 'Users', 'createUser')
  await block(page, 'Users', 'createUser').locator('.opblock-summary-control').click()
  await execute(page, 'Users', 'getCurrentUser')
  await page.setViewportSize({ width: 1200, height: 1300 }) // as much as shows the answer
  await page.evaluate(() => document.querySelector('.scheme-container').scrollIntoView())
  await page.screenshot({ path: process.argv[2] })
})
