import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pageOf, type Walk, Walks } from '../../src/lookup/pages.ts'
import { sharedLedger } from './sharedLedger.ts'

const nodes = (names: string): { key: string }[] => [...names].map((key) => ({ key }))

/** Asks for pages while what is there, best first, changes; returns them as words. */
function pages(first: string, ...asked: [there: string, n: number, offset: number][]): string[] {
  let walk: Walk = { keys: [...first], shown: 0 }
  return asked.map(([there, n, offset]) => {
    const next = pageOf(walk, nodes(there), n, offset)
    walk = next.walk
    return next.page.map(({ key }) => key).join('')
  })
}

describe('the pages of a walk', () => {
  test('follow the order in which it began, whatever the order is now', () => {
    assert.deepEqual(pages('abcdefg', ['abcdefg', 3, 0], ['gfedcba', 3, 3], ['cabdfeg', 3, 6], ['abcdefg', 3, 9]), [
      'abc',
      'def',
      'g',
      '',
    ])
  })

  test('leave out what has gone, and what follows moves up, so that a client may count what it got', () => {
    assert.deepEqual(pages('abcdefg', ['abcdefg', 3, 0], ['abcefg', 3, 3], ['abcef', 3, 6]), ['abc', 'efg', ''])
    // What was on an earlier page keeps its place.
    assert.deepEqual(pages('abcdefg', ['abcdefg', 3, 0], ['cdefg', 3, 3], ['defg', 3, 6]), ['abc', 'def', 'g'])
  })

  test('end with what has come, and show nothing twice that went and came back', () => {
    assert.deepEqual(pages('abcd', ['abcd', 2, 0], ['xabcd', 2, 2], ['yxabcd', 2, 4]), ['ab', 'cd', 'xy'])
    assert.deepEqual(pages('abcd', ['abcd', 2, 0], ['bcd', 1, 2], ['abd', 2, 3], ['abcd', 2, 4]), ['ab', 'c', 'd', ''])
  })

  test('may be asked for again, and in any order', () => {
    assert.deepEqual(
      pages('abcdef', ['abcdef', 2, 0], ['abcdef', 2, 4], ['abcdef', 2, 2], ['abcdef', 2, 2], ['abcde', 2, 4]),
      ['ab', 'ef', 'cd', 'cd', 'e'],
    )
    assert.deepEqual(pages('abc', ['abc', 1e20, 1], ['abc', 0, 1], ['abc', 1, 1e20]), ['bc', '', ''])
  })
})

describe('walks', () => {
  const WALK = { keys: ['http://10.0.0.1:80', 'http://10.0.0.2:80'], shown: 1 }

  test('are each caller’s own, for each requirement', () => {
    const ids = [Walks.idOf('a', 'x'), Walks.idOf('a', 'y'), Walks.idOf('b', 'x'), Walks.idOf('', 'ax')]
    assert.equal(new Set(ids).size, 4)
    assert.equal(Walks.idOf('a', 'x'), ids[0])
  })

  test('are forgotten a minute after their last page', async () => {
    let now = 0
    const walks = new Walks(sharedLedger(), () => now)
    await walks.keep('a', WALK)
    now = 59
    assert.equal((await walks.find('a'))?.shown, 1)
    await walks.keep('a', { ...WALK, shown: 2 })
    now = 118
    assert.equal((await walks.find('a'))?.shown, 2)
    now = 119
    assert.equal(await walks.find('a'), undefined)
  })

  test('take no more than so many bytes: those that paused longest are forgotten', async () => {
    const walks = new Walks(sharedLedger(), () => 0, 1000)
    for (const id of ['a', 'b', 'a', 'c', 'd']) await walks.keep(id, WALK)
    const known = await Promise.all(['a', 'b', 'c', 'd'].map((id) => walks.find(id)))
    assert.deepEqual(
      known.map((walk) => walk !== undefined),
      [true, false, true, true],
    )
    await walks.keep('long', { keys: ['x'.repeat(2000)], shown: 0 })
    assert.equal(await walks.find('long'), undefined)
    await walks.keep('a', WALK)
    assert.ok(await walks.find('a'))
  })

  test('go on at any gateway that shares a ledger, and while that is away where they began', async () => {
    const ledger = sharedLedger({ isShared: true })
    const [here, there] = [new Walks(ledger, () => 0), new Walks(ledger, () => 0)]
    await here.keep('a', WALK)
    assert.deepEqual(await there.find('a'), WALK)
    await there.keep('a', { ...WALK, shown: 2 })
    assert.equal((await here.find('a'))?.shown, 2)
    ledger.isAway = true
    assert.equal((await here.find('a'))?.shown, 1)
    await here.keep('b', WALK)
    assert.equal((await here.find('b'))?.shown, 1)
    ledger.isAway = false
    const long = { keys: Array.from({ length: 20_000 }, (_, n) => `http://10.0.0.1:${n}`), shown: 0 }
    await here.keep('a', long)
    assert.equal(await there.find('a').then((walk) => walk?.keys.length), 2, 'too long to be shared')
  })
})
