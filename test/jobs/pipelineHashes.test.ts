import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalHash, hashContainers } from '../../src/jobs/containersHash.ts'
import { orderedSelections } from '../../src/jobs/orderedSelections.ts'
import { PipelineHashes, type ContainerSets } from '../../src/jobs/pipelineHashes.ts'
import { atOnce } from '../kit/steps.ts'

const find = (hashes: PipelineHashes, hash: string, sets: ContainerSets) => atOnce(hashes.findSteps(hash, sets))

// Made with Python: eth_abi.encode(["string"], [",".join(ids)]), hashed by pycryptodome's keccak.new(digest_bits=256).
const VECTORS: readonly (readonly [string[], string])[] = [
  [['a'], '0x61121a9e6ec8e98f21038631472bc3010b0f7858699630bbbd5294dca02ef29e'],
  [['a', 'b'], '0x0deeac3a841600829c99f8116bb997da266d4c47a720b00e6ace9594de82dd54'],
  [['b', 'a'], '0x73ede0fe4b30aa8027db6b64635734b367776b05dc0bcf986c744c6bcbf6892e'],
  [['hello-world'], '0x5768661526084c7b4d30f7224ed6c74ade98db3c6c395c55400a17f34a547e22'],
  [['hello-world', 'summarizer'], '0x5e069dff4d3ae56998be9202506448982fde70300737f8393181339cd844da03'],
  [['x'.repeat(32)], '0x19290a6ecef26323dbedc5bc07106bcc15d83d573943ee2a210b13708bd48c81'],
  [['é', '😀'], '0x1d379518f67ecdf1a79d39e967c3e964ae4a4ee6554b7147e2a75b6bc056a6f9'],
  [['x'.repeat(31), 'y'.repeat(40)], '0xdf96edb8659963f794e06f08178a6395acd492218c6123648261ea8c02856475'],
  [[Array(20).fill('container').join('-')], '0xecb14b8d1d26fbbeb2a7023036179eaee9b1497ac6aa093554c3e93bed7a98bd'],
]

test('the hash is keccak-256 of the ABI encoding of the ids joined by commas', () => {
  for (const [ids, hash] of VECTORS) assert.equal(hashContainers(ids), hash)
})

test('selections come with the fewest containers first, in every order, no container twice', () => {
  assert.deepEqual(
    [...orderedSelections(['a', 'b', 'c'])].map((ids) => ids.join('')),
    ['a', 'b', 'c', 'ab', 'ac', 'ba', 'bc', 'ca', 'cb', 'abc', 'acb', 'bac', 'bca', 'cab', 'cba'],
  )
  assert.deepEqual([...orderedSelections([])], [])
  assert.deepEqual([...orderedSelections(['a', 'a'])], [['a']])
  // 6 + 6·5 + … + 6!
  assert.equal([...orderedSelections(['a', 'b', 'c', 'd', 'e', 'f'])].length, 1956)
})

test('selections end at the bound, however many containers a node announces', () => {
  const many = Array.from({ length: 5000 }, (_, i) => `container-${i}`)
  assert.equal([...orderedSelections(many)].length, 2000)
  assert.equal([...orderedSelections(many, 3)].length, 3)
  assert.equal([...orderedSelections(['a', 'b'], 3)].length, 3)
})

test('a hash gives back the containers that it names, in their order, whichever of the sets they are from', () => {
  const hashes = new PipelineHashes()
  const sets = [['d', 'e'], ['b', 'a', 'c'], []]
  assert.deepEqual(find(hashes, hashContainers(['b', 'a']), sets), ['b', 'a'])
  assert.deepEqual(find(hashes, hashContainers(['c', 'a', 'b']), sets), ['c', 'a', 'b'])
  assert.deepEqual(find(hashes, hashContainers(['e', 'd']), sets), ['e', 'd'])
  assert.equal(find(hashes, hashContainers(['f']), sets), undefined)
  assert.equal(find(hashes, hashContainers(['a', 'd']), sets), undefined)
})

test('a hash is the same in any case, with or without 0x', () => {
  const hashes = new PipelineHashes()
  const digits = hashContainers(['a']).slice(2)
  for (const spelling of [digits, digits.toUpperCase(), `0x${digits.toUpperCase()}`, `0X${digits}`]) {
    assert.equal(canonicalHash(spelling), `0x${digits}`)
    assert.deepEqual(find(hashes, spelling, [['a']]), ['a'])
  }
  for (const nonsense of ['', '0x', digits.slice(1), `${digits}0`, `${digits.slice(1)}g`, `1x${digits}`]) {
    assert.equal(canonicalHash(nonsense), undefined)
    assert.equal(find(hashes, nonsense, [['a']]), undefined)
  }
})

/** Milliseconds of this thread's own time. */
function cost(work: () => void): number {
  const before = process.threadCpuUsage()
  work()
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1000
}

const NOBODY = `0x${'0'.repeat(64)}`
const MANY_SETS = Array.from({ length: 100 }, (_, n) => ['a', 'b', 'c', 'd', 'e', 'f', `x${n}`])

test('no look-up among many sets makes more than 2,000 hashes, and none is made twice', () => {
  const hashes = new PipelineHashes()
  const one = cost(() => [...orderedSelections(MANY_SETS[0]!)].forEach(hashContainers))
  const first = cost(() => find(hashes, NOBODY, MANY_SETS))
  assert.ok(first < 5 * one, `${first} ms, where 2,000 hashes take ${one}`)
  // The short pipelines of all sets come first.
  assert.deepEqual(find(hashes, hashContainers(['x99']), []), ['x99'])
  for (let n = 0; n < 100; n++) find(hashes, NOBODY, MANY_SETS)
  const later = cost(() => find(hashes, NOBODY, MANY_SETS))
  assert.ok(later < one, `${later} ms, where 2,000 hashes take ${one}`)
  const last = ['a', 'b', 'c', 'x99']
  assert.deepEqual(find(hashes, hashContainers(last), MANY_SETS), last)
})

test('what is kept is bounded, and what is there stays', () => {
  const hashes = new PipelineHashes(10)
  find(hashes, NOBODY, [['a', 'b']])
  for (let n = 0; n < 10; n++) find(hashes, NOBODY, MANY_SETS)
  assert.deepEqual(find(hashes, hashContainers(['b', 'a']), MANY_SETS), ['b', 'a'])
  assert.equal(find(hashes, hashContainers(['x99']), MANY_SETS), undefined)
})
