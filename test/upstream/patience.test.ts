import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Patience } from '../../src/upstream/patience.ts'

test('all waits of a request count against one patience, what it was served between them does not', () => {
  const patience = new Patience(8)
  assert.equal(patience.secondsLeft(100), 8)
  patience.began(100)
  assert.equal(patience.secondsLeft(103), 5)
  patience.ended(103)
  assert.equal(patience.secondsLeft(200), 5)
  patience.began(200)
  patience.ended(210)
  assert.equal(patience.secondsLeft(210), 0)
})

test('waits at the same time count once', () => {
  const patience = new Patience(8)
  patience.began(0)
  patience.began(1)
  patience.ended(3)
  assert.equal(patience.secondsLeft(4), 4)
  patience.ended(5)
  assert.equal(patience.secondsLeft(9), 3)
})
