import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Request } from 'express'
import { shownKey } from '../../src/http/auth.ts'

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
