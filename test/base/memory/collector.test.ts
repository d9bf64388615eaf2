import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { Collector } from '../../../src/base/memory/collector.ts'

for (const expected of [0, 100, 300_000]) {
  test(`pieces of any size become the same bytes again, with ${expected} bytes announced`, () => {
    for (const size of [1, 7, 1000, 16_384, 70_000]) {
      const bytes = randomBytes(300_000)
      const collector = new Collector(expected)
      for (let at = 0; at < bytes.length; at += size) collector.push(bytes.subarray(at, at + size))
      assert.equal(collector.size, bytes.length)
      assert.ok(collector.take().equals(bytes), `pieces of ${size} bytes`)
    }
  })
}

test('no piece is no bytes, and a single one is not copied', () => {
  assert.equal(new Collector(0).take().length, 0)
  const collector = new Collector(0)
  const piece = Buffer.from('all')
  collector.push(piece)
  assert.equal(collector.take(), piece)
})

test('what was dropped is gone', () => {
  const collector = new Collector(0)
  for (let i = 0; i < 3; i++) collector.push(Buffer.alloc(20_000))
  collector.drop()
  assert.equal(collector.size, 0)
  assert.equal(collector.take().length, 0)
  collector.push(Buffer.from('next'))
  assert.equal(collector.take().toString(), 'next')
})

test('what is freed takes no memory from then on, without the garbage collector', () => {
  for (const announced of [0, 9_000_000]) {
    const collector = new Collector(announced)
    for (let i = 0; i < 90; i++) collector.push(Buffer.alloc(100_000))
    const before = process.memoryUsage().arrayBuffers
    collector.free()
    assert.ok(before - process.memoryUsage().arrayBuffers >= 8_000_000)
    assert.equal(collector.size, 0)
    collector.free()
    collector.push(Buffer.from('next'))
    assert.equal(collector.take().toString(), 'next')
  }
})
