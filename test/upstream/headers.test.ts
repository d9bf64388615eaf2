/** Headers of which only a table can say enough; what goes over the wire on each path is tested in `e2e/forwarding`. */
import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { describe, test } from 'node:test'
import { headersForClient, headersOnBehalf, replaceCredentials, type FlatHeaders } from '../../src/upstream/headers.ts'

const VIA = '1.1 gateway-under-test'

/** Values by name; names must come in lower case. */
function named(flat: FlatHeaders): Map<string, string[]> {
  const byName = new Map<string, string[]>()
  for (let i = 0; i < flat.length; i += 2) {
    const [name = '', value = ''] = flat.slice(i, i + 2)
    byName.set(name, [...(byName.get(name) ?? []), value])
  }
  return byName
}

test("a backend's own key takes the place of whatever the client showed, in any header", () => {
  const own = ['authorization', 'Bearer ours', 'x-api-key', 'ours']
  const replaced = named(
    replaceCredentials(['authorization', 'Bearer a', 'x-api-key', 'a', 'x-a', '1'], 'authorization', own),
  )
  assert.deepEqual(Object.fromEntries(replaced), {
    'x-a': ['1'],
    authorization: ['Bearer ours'],
    'x-api-key': ['ours'],
  })
  const given = named(replaceCredentials(['authorization', 'Bearer a', 'x-key', 'a'], 'x-key', ['x-key', 'ours']))
  assert.deepEqual(Object.fromEntries(given), { 'x-key': ['ours'] })
})

test('a call on behalf of a client that has gone still names it', () => {
  const headers = named(headersOnBehalf('9.9.9.9', 'job-1', VIA))
  assert.deepEqual(headers.get('x-forwarded-for'), ['9.9.9.9'])
  assert.deepEqual(headers.get('via'), [VIA])
  assert.deepEqual(headers.get('x-request-id'), ['job-1'])
  assert.deepEqual(headers.get('content-type'), ['application/json'])
  assert.match(headers.get('traceparent')?.[0] ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  // And nothing of what the client sent, its keys and cookies least of all.
  assert.equal(headers.size, 5)
})

test('a trace has the id of its request where that is a UUID, however written, but never one of zeros', () => {
  const uuid = '0af76519-16cd-43dd-8448-eb211c80319c'
  const traceOf = (id: string) => named(headersOnBehalf('9.9.9.9', id, VIA)).get('traceparent')?.[0] ?? ''
  for (const id of [uuid, uuid.toUpperCase(), uuid.replaceAll('-', '')]) {
    assert.equal(traceOf(id), '00-0af7651916cd43dd8448eb211c80319c-0af7651916cd43d1-01', id)
  }
  for (const id of ['00000000-0000-0000-0000-000000000000', '0'.repeat(32), `${uuid}0`]) {
    assert.match(traceOf(id), /^00-(?!0{32})(?!0af7651916cd43dd)[0-9a-f]{32}-[0-9a-f]{16}-01$/, id)
  }
})

describe('the headers that a client gets from a backend', () => {
  test('are none by which a backend could act for the whole origin of the gateway', () => {
    const acting = [
      ...['set-cookie', 'clear-site-data', 'strict-transport-security', 'set-login', 'secure-session-registration'],
      ...['access-control-allow-origin', 'access-control-allow-credentials', 'timing-allow-origin', 'alt-svc'],
      ...['cross-origin-resource-policy', 'cross-origin-opener-policy', 'origin-agent-cluster', 'accept-ch'],
      ...['content-security-policy', 'content-security-policy-report-only', 'x-content-type-options'],
      ...['nel', 'report-to', 'reporting-endpoints', 'service-worker-allowed', 'sourcemap', 'link', 'refresh'],
      ...['location', 'content-location', 'use-as-dictionary', 'speculation-rules', 'x-accel-redirect', 'x-sendfile'],
    ]
    assert.deepEqual(headersForClient(Object.fromEntries(acting.map((name) => [name, 'a']))), {})
    const kept = {
      etag: '"a"',
      'content-disposition': 'attachment',
      'x-accel-buffering': 'no',
      'cache-control': 'no-store',
    }
    assert.deepEqual(headersForClient(kept), kept)
  })

  test('have one type, the first, whatever a backend sends', () => {
    const twice = { 'content-type': ['application/json', 'text/html'] } as unknown as IncomingHttpHeaders
    assert.deepEqual(headersForClient(twice), { 'content-type': 'application/json' })
  })

  test('hold no challenge by which a browser asks its user for a password', () => {
    const challenge = (value: string): unknown => headersForClient({ 'www-authenticate': value })['www-authenticate']
    for (const value of [
      'Basic realm="a"',
      'Bearer realm="a", Basic realm="b"',
      'NEGOTIATE',
      'digest nonce="a"',
      'NTLM',
    ]) {
      assert.equal(challenge(value), undefined, value)
    }
    const bearer = 'Bearer error="invalid_token"'
    assert.equal(challenge(bearer), bearer)
  })
})
