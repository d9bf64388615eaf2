import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

const file = { after }
const node = await startFakeNode({}, file)
const KEY = 'operators-7351:colons:are:fine'
const CLIENT_KEY = 'clients-7351'
const PAGES = ['/stats', '/services', '/metrics', '/dashboard']
const gateway = await gatewayFor(file, [node], { OPS_KEY: KEY, API_KEYS: CLIENT_KEY })

const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET'): ReturnType<typeof request> =>
  request(gateway.url + path, { headers, method })

async function statusWith(authorization: string, path = '/stats'): Promise<number> {
  return (await ask(path, { Authorization: authorization })).status
}

const NO_OPERATORS: Record<string, string>[] = [
  {},
  { Authorization: `Bearer ${KEY.slice(0, -1)}` },
  { Authorization: `Bearer ${CLIENT_KEY}` },
  { Authorization: `Basic ${KEY}` },
  { Authorization: KEY },
]

describe('with an OPS_KEY', () => {
  for (const path of [...PAGES, '/stats/']) {
    test(`${path} needs it`, async () => {
      for (const headers of NO_OPERATORS) {
        const answer = await ask(path, headers)
        assertError(answer, 401)
        assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/)
      }
      assert.equal((await ask(path, {}, 'HEAD')).status, 401)
      assert.equal((await ask(`${path}?api_key=${KEY}`)).status, 401)
      assert.equal((await ask(path, { Authorization: `Bearer ${KEY}` })).status, 200)
    })
  }

  test('a refusal says nothing of the page', async () => {
    for (const path of PAGES) assert.deepEqual(Object.keys((await ask(path)).json<object>()), ['error'])
  })

  test('it opens every page as the password of any user', async () => {
    for (const path of PAGES) {
      for (const user of ['', 'operator', 'ümläut']) assert.equal(await statusWith(basic(`${user}:${KEY}`), path), 200)
    }
    assert.equal(await statusWith(basic(`:${KEY}`).replace('Basic', 'bASIC')), 200)
  })

  test('nothing else opens a page', async () => {
    const wrong = ['', ':', KEY, `${KEY}:`, `user:${KEY}x`, `user:x${KEY}`, 'user:colons', `user:${KEY.toUpperCase()}`]
    for (const credentials of [...wrong, `user:${CLIENT_KEY}`]) {
      assert.equal(await statusWith(basic(credentials)), 401, credentials)
    }
    for (const header of ['Basic', 'Basic ', 'Basic ???', `Basic ${KEY}`, 'Bearer', `Digest ${KEY}`]) {
      assert.equal(await statusWith(header), 401, header)
    }
  })

  test('a browser that opens a page may ask its user for it, in a challenge of its own line', async () => {
    const { rawHeaders } = await ask('/dashboard', { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' })
    const challenges = rawHeaders.filter((_, index) => rawHeaders[index - 1] === 'WWW-Authenticate')
    assert.equal(challenges.length, 2)
    assert.match(challenges[0]!, /^Bearer /)
    assert.match(challenges[1]!, /^Basic realm="/)
  })

  test("a script's call raises no dialogue", async () => {
    for (const headers of [{ Accept: 'application/json' }, { Accept: '*/*' }, {}] as Record<string, string>[]) {
      assert.equal((await ask('/stats', headers)).headers['www-authenticate'], 'Bearer realm="infernet-gateway"')
    }
  })

  test('orchestrators and readers of the description need none', async () => {
    for (const path of ['/health', '/livez', '/readyz', '/openapi.json'])
      assert.equal((await ask(path)).status, 200, path)
  })

  test("it opens operators' pages alone", async () => {
    for (const authorization of [`Bearer ${KEY}`, basic(`user:${KEY}`), basic(`user:${CLIENT_KEY}`)]) {
      assertError(await ask('/info', { Authorization: authorization }), 401)
    }
    assert.equal((await ask('/info', { Authorization: `Bearer ${CLIENT_KEY}` })).status, 200)
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
