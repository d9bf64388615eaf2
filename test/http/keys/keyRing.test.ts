import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, test } from 'node:test'
import { KeyRing } from '../../../src/http/keys/keyRing.ts'
import { KeyTable } from '../../../src/http/keys/keyTable.ts'

describe('a key ring', () => {
  test('knows its keys and no others', () => {
    const ring = new KeyRing(['first', 'second'])
    assert.ok(ring.callerOf('first'))
    assert.ok(ring.callerOf('second'))
    for (const other of ['', 'firs', 'first ', 'First', 'first,second', undefined]) {
      assert.equal(ring.callerOf(other), undefined, other)
    }
  })

  test('gives each key a caller of its own, the same after a restart', () => {
    const ring = new KeyRing(['first', 'second'])
    assert.notEqual(ring.callerOf('first'), ring.callerOf('second'))
    assert.equal(new KeyRing(['second', 'first']).callerOf('first'), ring.callerOf('first'))
  })

  test("names callers so that the key cannot be read from it, nor mistaken for a client's address", () => {
    const caller = new KeyRing(['127.0.0.1']).callerOf('127.0.0.1')
    assert.match(caller ?? '', /^key:/)
    assert.ok(!caller?.includes('127.0.0.1'))
  })

  test('needs no key where it has none, and then knows nobody', () => {
    assert.equal(new KeyRing([]).isOpen, true)
    assert.equal(new KeyRing(['first']).isOpen, false)
    assert.equal(new KeyRing([]).callerOf(''), undefined)
  })

  test('asks a source of further keys each time, whose keys win over the fixed ones', () => {
    const source = { table: tableOf({ 'of both': 'name:a' }) }
    const ring = new KeyRing(['fixed', 'of both'], source)
    assert.match(ring.callerOf('fixed') ?? '', /^key:/)
    assert.equal(ring.callerOf('of both'), 'name:a')
    assert.equal(ring.callerOf('new'), undefined)
    source.table = tableOf({ new: 'name:b' })
    assert.equal(ring.callerOf('new'), 'name:b')
    assert.match(ring.callerOf('of both') ?? '', /^key:/)
  })

  test('refuses everybody where its source has no key', () => {
    const ring = new KeyRing([], { table: tableOf({}) })
    assert.equal(ring.isOpen, false)
    assert.equal(ring.callerOf('any'), undefined)
    assert.equal(ring.callerOf(''), undefined)
  })

  test('takes an expired key for a secret of its own, but for nobody, from the moment on', () => {
    let now = 999
    const ring = new KeyRing(['old'], { table: tableOf({ old: 'name:a' }, 1000) }, () => now)
    assert.equal(ring.callerOf('old'), 'name:a')
    now = 1000
    assert.equal(ring.callerOf('old'), undefined)
    assert.equal(ring.has('old'), true)
    assert.equal(ring.has('other'), false)
  })

  test('tells keys apart whose digests begin alike', () => {
    const digest = hash('sha256', 'one', 'buffer')
    const twin = Buffer.concat([digest.subarray(0, 16), Buffer.alloc(16)])
    const table = new KeyTable([
      { digest, caller: 'name:one', expiresAt: Infinity },
      { digest: twin, caller: 'name:twin', expiresAt: Infinity },
    ])
    assert.equal(table.find(digest)?.caller, 'name:one')
    assert.equal(table.find(twin)?.caller, 'name:twin')
    assert.equal(table.find(Buffer.concat([digest.subarray(0, 31), Buffer.alloc(1)])), undefined)
  })
})

function tableOf(callers: Record<string, string>, expiresAt = Infinity): KeyTable {
  return new KeyTable(
    Object.entries(callers).map(([key, caller]) => ({ digest: hash('sha256', key, 'buffer'), caller, expiresAt })),
  )
}
