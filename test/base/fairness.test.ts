import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jainIndex } from '../../src/base/fairness.ts'

test("Jain's index is 1 where all got the same, and 1/n where one of n got all", () => {
  assert.equal(jainIndex([3, 3, 3, 3]), 1)
  assert.equal(jainIndex([8, 0, 0, 0]), 0.25)
  assert.equal(jainIndex([5]), undefined)
  assert.equal(jainIndex([0, 0]), undefined)
})
