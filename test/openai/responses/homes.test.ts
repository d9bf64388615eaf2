import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ResponseHomes } from '../../../src/openai/responses/homes.ts'

const HOME = { nodeKey: 'a', caller: 'c' }

test('a home is remembered for a day', () => {
  let now = 0
  const homes = new ResponseHomes({ now: () => now })
  homes.remember('r', HOME)
  now = 86_399
  assert.equal(homes.find('r')?.nodeKey, 'a')
  now = 86_401
  assert.equal(homes.find('r'), undefined)
})

test('what is kept is bounded by its bytes; the least recently used go first', () => {
  const homes = new ResponseHomes({ now: () => 0, maxBytes: 2000 })
  for (let i = 0; i < 100; i++) {
    homes.remember(`r${i}`, HOME)
    homes.find('r0')
  }
  const kept = Array.from({ length: 100 }, (_, i) => `r${i}`).filter((id) => homes.find(id))
  assert.ok(kept.length > 3 && kept.length < 20, String(kept))
  assert.ok(kept.includes('r0') && kept.includes('r99') && !kept.includes('r1'))
})

test('an id that is longer than ids are is not kept', () => {
  const homes = new ResponseHomes()
  homes.remember('x'.repeat(257), HOME)
  assert.equal(homes.find('x'.repeat(257)), undefined)
})
