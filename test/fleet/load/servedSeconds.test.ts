import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServedSeconds } from '../../../src/fleet/load/servedSeconds.ts'

test('what a job had since its mark is its own time alone, whatever older time has come to count', () => {
  for (const change of [(served: ServedSeconds) => served.halve(), (served: ServedSeconds) => served.rescale(3)]) {
    const served = new ServedSeconds()
    served.add(200, 2)
    const mark = served.mark()
    change(served)
    assert.ok(Math.abs(served.since(mark)) < 1e-9)
    served.add(5, 1)
    assert.ok(Math.abs(served.since(mark) - 5) < 1e-9)
  }
})

test('what came since the mark counts as the rest does', () => {
  const served = new ServedSeconds()
  const mark = served.mark()
  served.add(8, 1)
  served.halve()
  assert.ok(Math.abs(served.since(mark) - 4) < 1e-9)
})

test('a mark of before the node came back takes nothing of what was', () => {
  const before = new ServedSeconds()
  before.add(100, 1)
  const served = new ServedSeconds()
  served.add(2, 1)
  assert.equal(served.since(before.mark()), 2)
})
