import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

const file = { after }
const node = await startFakeNode({}, file)
const gateway = await gatewayFor(file, [node], { OPS_KEY: 'operators-7351', API_KEYS: 'clients-7351' })

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET'): ReturnType<typeof request> =>
  request(gateway.url + path, { headers, method })

const NO_OPERATORS: Record<string, string>[] = [
  {},
  { Authorization: 'Bearer operators-735' },
  { Authorization: 'Bearer clients-7351' },
  { Authorization: 'Basic operators-7351' },
  { Authorization: 'operators-7351' },
]

describe('with an OPS_KEY', () => {
  for (const path of ['/stats', '/services', '/metrics', '/dashboard', '/stats/']) {
    test(`${path} needs it`, async () => {
      for (const headers of NO_OPERATORS) {
        const answer = await ask(path, headers)
        assertError(answer, 401)
        assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/)
      }
      assert.equal((await ask(path, {}, 'HEAD')).status, 401)
      assert.equal((await ask(`${path}?api_key=operators-7351`)).status, 401)
      assert.equal((await ask(path, { Authorization: 'Bearer operators-7351' })).status, 200)
    })
  }

  test('a browser that opens a page may send it as a password, and is asked for one', async () => {
    const page = { Accept: 'text/html,*/*' }
    const asked = await ask('/stats', page)
    assertError(asked, 401)
    assert.match(asked.headers['www-authenticate'] ?? '', /Basic/)
    const basic = (password: string): Record<string, string> => ({
      ...page,
      Authorization: `Basic ${Buffer.from(`anybody:${password}`).toString('base64')}`,
    })
    assertError(await ask('/stats', basic('clients-7351')), 401)
    assert.equal((await ask('/stats', basic('operators-7351'))).status, 200)
  })

  test('orchestrators need none', async () => {
    for (const path of ['/health', '/livez', '/readyz']) assert.equal((await ask(path)).status, 200, path)
  })

  test("it opens operators' pages alone", async () => {
    assertError(await ask('/info', { Authorization: 'Bearer operators-7351' }), 401)
    assert.equal((await ask('/info', { Authorization: 'Bearer clients-7351' })).status, 200)
  })

  test('no key is told to the log', () => {
    assert.doesNotMatch(gateway.output, /(clients|operators)-7351/)
  })
})

test('look-ups need no key, even where forwarded calls do', async () => {
  for (const path of ['/api/v1/ips?container=echo', '/api/v1/ip', '/api/v1/containers', '/api/v1/resources']) {
    assert.equal((await ask(path)).status, 200, path)
  }
})
