import assert from 'node:assert/strict'
import { test } from 'node:test'
import { remembered } from '../../src/base/remembered.ts'

test('a result is worked out once while it is remembered, and never for a long text', () => {
  const asked: string[] = []
  const upper = remembered((text) => {
    asked.push(text)
    return text.toUpperCase()
  }, 2)

  assert.deepEqual(['a', 'a', 'b', 'a'].map(upper), ['A', 'A', 'B', 'A'])
  assert.deepEqual(asked, ['a', 'b'])

  assert.equal(upper('c'), 'C')
  assert.equal(upper('a'), 'A')
  assert.deepEqual(asked, ['a', 'b', 'c', 'a'])

  const long = 'x'.repeat(65)
  assert.equal(upper(long), long.toUpperCase())
  assert.equal(upper(long), long.toUpperCase())
  assert.equal(asked.filter((text) => text === long).length, 2)
})
