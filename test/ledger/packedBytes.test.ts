/** What passes between threads and processes of a ledger. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesIn, pack, unpack, unpackApart } from '../../src/ledger/packedBytes.ts'

function throughThePort(values: unknown[]): unknown[] {
  return unpackApart(structuredClone(pack(values, bytesIn(values))))
}

test('values come out as they went in, byte strings at every depth among them', () => {
  const values = [['a', Buffer.from('one'), null], 7, [[Buffer.from(''), Buffer.from('two')]], true]
  const asSent = structuredClone(values)
  assert.deepEqual(throughThePort(structuredClone(values)), asSent)
  assert.deepEqual(unpack(structuredClone(pack(values, bytesIn(values)))), asSent)
})

test('a short value does not keep a long one of its message in memory', () => {
  const [short, long] = throughThePort([Buffer.from('{}'), Buffer.alloc(1_000_000)]) as Uint8Array[]
  assert.deepEqual([short!.length, short!.buffer.byteLength], [2, 2])
  assert.equal(long!.length, 1_000_000)
})
