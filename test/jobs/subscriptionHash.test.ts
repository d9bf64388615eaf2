import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalHash, containersOf, hashContainers, orderedSelections } from '../../src/jobs/subscriptionHash.ts'

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

test('a hash gives back the containers that it names, in their order', () => {
  assert.deepEqual(containersOf(hashContainers(['b', 'a']), ['a', 'b', 'c']), ['b', 'a'])
  assert.deepEqual(containersOf(hashContainers(['c', 'a', 'b']), ['b', 'a', 'c']), ['c', 'a', 'b'])
  assert.equal(containersOf(hashContainers(['d']), ['a', 'b', 'c']), undefined)
  assert.equal(containersOf(hashContainers(['a', 'b']), ['a', 'b'], 2), undefined)
  assert.deepEqual(containersOf(hashContainers(['a', 'b']), ['a', 'b'], 3), ['a', 'b'])
})

test('a hash is the same in any case, with or without 0x', () => {
  const digits = hashContainers(['a']).slice(2)
  for (const spelling of [digits, digits.toUpperCase(), `0x${digits.toUpperCase()}`, `0X${digits}`]) {
    assert.equal(canonicalHash(spelling), `0x${digits}`)
    assert.deepEqual(containersOf(spelling, ['a']), ['a'])
  }
  for (const nonsense of ['', '0x', digits.slice(1), `${digits}0`, `${digits.slice(1)}g`, `1x${digits}`]) {
    assert.equal(canonicalHash(nonsense), undefined)
    assert.equal(containersOf(nonsense, ['a']), undefined)
  }
})
