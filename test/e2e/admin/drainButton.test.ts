/** The dashboard's button that drains a node, in Chromium. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { chromium } from 'playwright-core'
import { startGateway } from '../../kit/builders/gateways.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { serve } from '../../kit/serve.ts'

const CHROMIUM = '/usr/bin/chromium'
const skip = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed (Debian: apt-get install chromium)`

test('the button drains a node with the password of the page; a form of another site does not', { skip }, async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const gateway = await startGateway(t, { nodes: [node], env: { OPS_KEY: 'ops-1' } })
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
  t.after(() => browser.close())
  const context = await browser.newContext({ httpCredentials: { username: 'me', password: 'ops-1' } })
  const page = await context.newPage()
  page.on('dialog', (dialog) => void dialog.accept())
  await page.goto(`${gateway.url}/dashboard`)

  const command = `${gateway.url}/admin/nodes/${encodeURIComponent(node.address)}/drain`
  const evil = await serve(t, (_req, res) => {
    res.setHeader('Content-Type', 'text/html')
    res.end(`<form method="post" action="${command}"><button>Win</button></form>`)
  })
  const other = await context.newPage()
  await other.goto(`http://${evil.replace('127.0.0.1', 'localhost')}`)
  const [answer] = await Promise.all([other.waitForResponse(command), other.click('button')])
  assert.equal(answer.status(), 403)

  await page.getByRole('button', { name: `Drain ${node.address}` }).click()
  await page.getByRole('button', { name: `Undrain ${node.address}` }).click()
  await page.getByRole('button', { name: `Drain ${node.address}` }).waitFor()
})
