import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scanObject } from '../../../src/json/index.ts'
import { sessionOf } from '../../../src/openai/prompt/index.ts'

const ID = '57a121ec-f78c-48c3-a745-e3036a3ecc33'

const NOTHING = Buffer.from('{}')
const sessionOfHeaders = (headers: Record<string, string>) => sessionOf({ session: undefined }, NOTHING, headers)

test('the body names a session before headers do, and headers before metadata', () => {
  const bytes = Buffer.from(JSON.stringify({ metadata: { user_id: JSON.stringify({ session_id: 'm' }) } }))
  const members = scanObject(bytes)
  assert.equal(sessionOf({ session: 'b', members }, bytes, { 'x-session-id': 'h' }), 'b')
  assert.equal(sessionOf({ session: undefined, members }, bytes, { 'x-session-id': 'h' }), 'h')
  assert.equal(sessionOf({ session: undefined, members }, bytes, {}), 'm')
})

test('a session is named by any of the headers that clients send, the first in a fixed order', () => {
  const inOrder = [
    'x-session-id',
    'x-claude-code-session-id',
    'session-id',
    'session_id',
    'x-session-affinity',
    'x-opencode-session',
  ]
  for (const [i, name] of inOrder.entries()) {
    const headers = Object.fromEntries(
      inOrder
        .slice(i)
        .reverse()
        .map((other) => [other, `by ${other}`]),
    )
    assert.equal(sessionOfHeaders(headers), `by ${name}`)
  }
  assert.equal(sessionOfHeaders({ 'x-session-id': '', 'session-id': 'a' }), 'a')
  assert.equal(sessionOfHeaders({ 'x-request-id': 'a', cookie: 'session_id=b' }), undefined)
})

test('metadata.user_id names a session as agents write it, now and before; a mere user is none', () => {
  const of = (metadata: unknown) => {
    const bytes = Buffer.from(JSON.stringify({ metadata }))
    return sessionOf({ session: undefined, members: scanObject(bytes) }, bytes, {})
  }
  assert.equal(of({ user_id: JSON.stringify({ device_id: 'd', account_uuid: '', session_id: ID }) }), ID)
  assert.equal(of({ user_id: `user_0a1b_account__session_${ID}` }), ID)
  const others = [
    { user_id: 'alice' },
    { user_id: '{"session_id":7}' },
    { user_id: '{' },
    { user_id: '{"session_id":""}' },
    { user_id: null },
    {},
    null,
    'x',
    { user_id: `{"session_id":"${'x'.repeat(9000)}"}` },
  ]
  for (const metadata of others) assert.equal(of(metadata), undefined, JSON.stringify(metadata)?.slice(0, 50))
})
