import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStateUrl, StateUrlError } from '../../src/base/stateUrl.ts'

test('a STATE_URL names memory or a file, as a path or as a URL with an empty host', () => {
  assert.deepEqual(parseStateUrl('memory:'), { kind: 'memory' })
  assert.deepEqual(parseStateUrl('sqlite:data/gateway.db'), { kind: 'sqlite', file: 'data/gateway.db' })
  assert.deepEqual(parseStateUrl('sqlite:///data/gateway.db'), { kind: 'sqlite', file: '/data/gateway.db' })
  assert.deepEqual(parseStateUrl('SQLite:/data/gateway.db'), { kind: 'sqlite', file: '/data/gateway.db' })
})

test('a STATE_URL of anything else is refused without its secrets', () => {
  for (const url of ['', 'data/gateway.db', 'memory:x', 'sqlite:', 'sqlite://host/x.db', 'redis://u:hush@host']) {
    assert.throws(
      () => parseStateUrl(url),
      (error) => error instanceof StateUrlError && !error.message.includes('hush'),
      url,
    )
  }
})
