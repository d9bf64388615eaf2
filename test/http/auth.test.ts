import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Request } from 'express'
import { KeyRing, shownKey } from '../../src/http/auth.ts'

describe('a key ring', () => {
  test('knows its keys and no others', () => {
    const ring = new KeyRing(['first', 'second'])
    assert.ok(ring.callerOf('first'))
    assert.ok(ring.callerOf('second'))
    for (const other of ['', 'firs', 'first ', 'First', 'first,second', undefined]) {
      assert.equal(ring.callerOf(other), undefined, other)
    }
  })

  test('gives each key a caller of its own, the same after a restart', () => {
    const ring = new KeyRing(['first', 'second'])
    assert.notEqual(ring.callerOf('first'), ring.callerOf('second'))
    assert.equal(new KeyRing(['second', 'first']).callerOf('first'), ring.callerOf('first'))
  })

  test("names callers so that the key cannot be read from it, nor mistaken for a client's address", () => {
    const caller = new KeyRing(['127.0.0.1']).callerOf('127.0.0.1')
    assert.match(caller ?? '', /^key:/)
    assert.ok(!caller?.includes('127.0.0.1'))
  })

  test('is empty without keys, and then knows nobody', () => {
    assert.equal(new KeyRing([]).isEmpty, true)
    assert.equal(new KeyRing(['first']).isEmpty, false)
    assert.equal(new KeyRing([]).callerOf(''), undefined)
  })
})

describe('the key that a request shows', () => {
  const shown = (headers: Record<string, string>): string | undefined => shownKey({ headers } as unknown as Request)

  test('is the Bearer token, in any case and with any blanks', () => {
    assert.equal(shown({ authorization: 'Bearer first' }), 'first')
    assert.equal(shown({ authorization: 'bearer   first  ' }), 'first')
  })

  test('is else X-API-Key', () => {
    assert.equal(shown({ 'x-api-key': 'second' }), 'second')
    assert.equal(shown({ authorization: 'Basic Zmlyc3Q=', 'x-api-key': 'second' }), 'second')
  })

  test('is else api-key', () => {
    assert.equal(shown({ 'api-key': 'third' }), 'third')
    assert.equal(shown({ 'x-api-key': 'second', 'api-key': 'third' }), 'second')
    assert.equal(shown({ 'x-api-key': '', 'api-key': 'third' }), 'third')
  })

  test('is the Bearer token where there are both', () => {
    assert.equal(shown({ authorization: 'Bearer first', 'x-api-key': 'second' }), 'first')
  })

  test('is none where there is neither', () => {
    assert.equal(shown({}), undefined)
    assert.equal(shown({ authorization: 'Bearer' }), undefined)
    assert.equal(shown({ 'x-api-key': '', 'api-key': '' }), undefined)
    assert.equal(shown({ authorization: 'first' }), undefined)
  })
})
