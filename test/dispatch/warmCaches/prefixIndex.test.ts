import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { indexCapacity, PrefixIndex } from '../../../src/dispatch/warmCaches/prefixIndex.ts'

/** Numbers of a chain that begins like those with the same name up to where theirs differ. */
const chainOf = (...numbers: number[]): number[] => numbers

test('the index knows how many of the first numbers of a chain it was given', () => {
  const index = new PrefixIndex(100)
  assert.equal(index.depthOf(chainOf(1, 2, 3)), 0)
  index.add(chainOf(1, 2, 3, 4, 5))
  assert.equal(index.depthOf(chainOf(1, 2, 3, 4, 5)), 5)
  assert.equal(index.depthOf(chainOf(1, 2, 3, 4, 5, 6, 7, 8)), 5)
  assert.equal(index.depthOf(chainOf(1, 2, 30, 40)), 2)
  assert.equal(index.depthOf(chainOf(1)), 1)
  assert.equal(index.depthOf(chainOf(9, 20, 30)), 0)
  assert.equal(index.depthOf([]), 0)
})

test('the look-up finds each depth of a chain of any length', () => {
  for (const length of [1, 2, 3, 7, 8, 64, 235]) {
    const chain = Array.from({ length }, (_, n) => n + 1)
    for (const known of [0, 1, length >> 1, length - 1, length]) {
      const index = new PrefixIndex(1000)
      index.add(chain.slice(0, known))
      assert.equal(index.depthOf(chain), known, `${known} of ${length}`)
    }
  }
})

test('a full index forgets the chain that was used longest ago, its end first', () => {
  const index = new PrefixIndex(6)
  index.add(chainOf(1, 2, 3))
  index.add(chainOf(11, 12, 13))
  index.add(chainOf(21, 22))
  assert.equal(index.size, 6)
  assert.equal(index.depthOf(chainOf(1, 2, 3)), 1)
  assert.equal(index.depthOf(chainOf(11, 12, 13)), 3)
  assert.equal(index.depthOf(chainOf(21, 22)), 2)
})

test('what is used again is as new', () => {
  const index = new PrefixIndex(6)
  index.add(chainOf(1, 2, 3))
  index.add(chainOf(11, 12, 13))
  index.add(chainOf(1, 2, 3))
  index.add(chainOf(21, 22))
  assert.equal(index.depthOf(chainOf(1, 2, 3)), 3)
  assert.equal(index.depthOf(chainOf(11, 12, 13)), 1)
})

test('of a chain that is longer than the index its beginning stays', () => {
  const index = new PrefixIndex(3)
  index.add(chainOf(1, 2, 3, 4, 5))
  assert.equal(index.size, 3)
  assert.equal(index.depthOf(chainOf(1, 2, 3, 4, 5)), 3)
})

test('whatever is added in whatever order, no number is there without those before it', () => {
  const index = new PrefixIndex(50)
  let seed = 7
  const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below
  // Twenty conversations that share beginnings in groups of four.
  const chains = Array.from({ length: 20 }, (_, c) =>
    Array.from({ length: 12 }, (_, n) => (n < 4 ? 1000 * (c >> 2) + n : 100_000 + 100 * c + n)),
  )
  for (let time = 0; time < 2000; time++) {
    index.add(chains[random(20)]!.slice(0, 1 + random(12)))
    assert.ok(index.size <= 50)
    for (const chain of chains) {
      const there = chain.map((number) => index.has(number))
      const depth = there.indexOf(false) === -1 ? chain.length : there.indexOf(false)
      assert.equal(there.lastIndexOf(true) + 1, depth)
      assert.equal(index.depthOf(chain), depth)
    }
  }
})

test('an index that gets less room forgets the oldest, and a cleared one all', () => {
  const index = new PrefixIndex(6)
  index.add(chainOf(1, 2, 3))
  index.add(chainOf(11, 12))
  index.resize(3)
  assert.equal(index.depthOf(chainOf(1, 2, 3)), 1)
  assert.equal(index.depthOf(chainOf(11, 12)), 2)
  index.clear()
  assert.equal(index.size, 0)
  index.add(chainOf(1, 2, 3, 4))
  index.add(chainOf(11, 12))
  assert.equal(index.depthOf(chainOf(11, 12)), 2)
  assert.equal(index.depthOf(chainOf(1, 2)), 1)
})

test('an index without room takes nothing', () => {
  const index = new PrefixIndex(0)
  index.add(chainOf(1, 2))
  index.addOne(3)
  assert.equal(index.size, 0)
  assert.equal(index.depthOf(chainOf(1, 2)), 0)
})

test('many services share the room', () => {
  assert.equal(indexCapacity(0), 16_384)
  assert.equal(indexCapacity(2), 16_384)
  assert.equal(indexCapacity(16), 16_384)
  assert.equal(indexCapacity(32), 8192)
  assert.equal(indexCapacity(1000), 262)
})

test('all indexes take at most 25 MB together, also after long use', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const used = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
  const before = used()
  const indexes = Array.from({ length: 16 }, () => new PrefixIndex(indexCapacity(16)))
  for (const [service, index] of indexes.entries()) {
    for (let n = 0; n < 2.5 * 16_384; n += 16) {
      index.add(Array.from({ length: 16 }, (_, i) => (service + 1) * 2 ** 40 + n + i + 2 ** 51))
    }
  }
  collect()
  const megabytes = (used() - before) / 1e6
  assert.equal(
    indexes.reduce((sum, index) => sum + index.size, 0),
    262_144,
  )
  assert.ok(megabytes < 25, `${megabytes} MB`)
})
