import assert from 'node:assert/strict'
import express from 'express'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { Priority } from '../../src/base/priority.ts'
import { inOrder } from '../../src/http/checks.ts'
import { contextOf } from '../../src/http/context.ts'
import { errorHandler } from '../../src/http/errors.ts'
import { readPriority } from '../../src/http/priority.ts'
import { request, type Answer } from '../kit/http.ts'
import type { Cleanup } from '../kit/wait.ts'

/** A server that answers with the priority of each request. */
async function serve(t: Cleanup, ofKey: Priority | undefined): Promise<(asked?: string) => Promise<Answer>> {
  const app = express()
  app.use(inOrder(readPriority(() => ofKey)))
  app.get('/', (req, res) => void res.json(contextOf(req).priority ?? 'default'))
  app.use(errorHandler)
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return (asked) => request(url, { headers: asked === undefined ? {} : { 'X-Priority': asked } })
}

describe('the priority of a request', () => {
  const cases: [Priority | undefined, string | undefined, string][] = [
    [undefined, undefined, 'default'],
    [undefined, 'high', 'normal'],
    [undefined, 'low', 'low'],
    ['high', undefined, 'high'],
    ['high', 'normal', 'normal'],
    ['high', 'High', 'high'],
    ['normal', 'high', 'normal'],
    ['low', 'normal', 'low'],
    ['low', undefined, 'low'],
  ]
  for (const [ofKey, asked, priority] of cases) {
    test(`is ${priority} where its key has ${ofKey ?? 'none'} and it asks for ${asked ?? 'none'}`, async (t) => {
      const answer = await (await serve(t, ofKey))(asked)
      assert.equal(answer.json(), priority)
    })
  }

  test('that does not exist is a 400 that names those that do', async (t) => {
    const answer = await (await serve(t, undefined))('urgent')
    assert.equal(answer.status, 400)
    assert.deepEqual(answer.json(), { error: 'X-Priority must be one of high, normal, low' })
  })
})
