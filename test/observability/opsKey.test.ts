import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { spawnGateway } from '../kit/gateway.ts'
import { request } from '../kit/http.ts'

const KEY = 'colons:are:fine'
const PAGES = ['/stats', '/services', '/metrics', '/dashboard']
const gateway = await spawnGateway({ after }, { env: { OPS_KEY: KEY } })

const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`

async function statusWith(authorization: string, path = '/stats'): Promise<number> {
  return (await request(gateway.url + path, { headers: { Authorization: authorization } })).status
}

describe('where an operator has set a key', () => {
  test('no page opens without it, and what the page would have said stays unsaid', async () => {
    for (const path of PAGES) {
      const answer = await request(gateway.url + path)
      assert.equal(answer.status, 401, path)
      assert.deepEqual(Object.keys(answer.json<object>()), ['error'])
    }
  })

  test('it opens every page as a Bearer token', async () => {
    for (const path of PAGES) assert.equal(await statusWith(`Bearer ${KEY}`, path), 200, path)
  })

  test('it opens every page as the password of any user', async () => {
    for (const path of PAGES) {
      for (const user of ['', 'operator', 'ümläut']) assert.equal(await statusWith(basic(`${user}:${KEY}`), path), 200)
    }
    assert.equal(await statusWith(basic(`:${KEY}`).replace('Basic', 'bASIC')), 200)
  })

  test('nothing else does', async () => {
    const wrong = ['', ':', KEY, `${KEY}:`, `user:${KEY}x`, `user:x${KEY}`, 'user:colons', `user:${KEY.toUpperCase()}`]
    for (const credentials of wrong) assert.equal(await statusWith(basic(credentials)), 401, credentials)
    for (const header of ['Basic', 'Basic ', 'Basic ???', `Basic ${KEY}`, 'Bearer', `Digest ${KEY}`]) {
      assert.equal(await statusWith(header), 401, header)
    }
  })

  test('a browser that opens a page may ask its user for the key, in a challenge of its own line', async () => {
    const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
    const { rawHeaders } = await request(`${gateway.url}/dashboard`, { headers: { Accept: accept } })
    const challenges = rawHeaders.filter((_, index) => rawHeaders[index - 1] === 'WWW-Authenticate')
    assert.equal(challenges.length, 2)
    assert.match(challenges[0]!, /^Bearer /)
    assert.match(challenges[1]!, /^Basic realm="/)
  })

  test("a script's call raises no dialogue", async () => {
    for (const headers of [{ Accept: 'application/json' }, { Accept: '*/*' }, {}]) {
      const answer = await request(`${gateway.url}/stats`, { headers })
      assert.equal(answer.headers['www-authenticate'], 'Bearer realm="infernet-gateway"')
    }
  })

  test('what load balancers and clients ask stays open', async () => {
    for (const path of ['/livez', '/openapi.json']) assert.equal((await request(gateway.url + path)).status, 200)
  })
})

test("an operator's key is no key for clients", async (t) => {
  const guarded = await spawnGateway(t, { env: { OPS_KEY: KEY, API_KEYS: 'client-key' } })
  for (const authorization of [`Bearer ${KEY}`, basic(`user:${KEY}`), basic('user:client-key')]) {
    const answer = await request(`${guarded.url}/info`, { headers: { Authorization: authorization } })
    assert.equal(answer.status, 401)
  }
})
