import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Contact, Health } from '../../src/fleet/health.ts'

/** The state after each piece of evidence: `+` healthy, `-` not; the letters of `evidence` are `s`uccess and `f`ailure. */
function states(evidence: string): string {
  const health = new Health()
  return [...evidence]
    .map((letter) => {
      health.observe(letter === 's')
      return health.isHealthy ? '+' : '-'
    })
    .join('')
}

describe('health', () => {
  for (const [rule, evidence, expected] of [
    ['a node that was never seen starts down, and the first success is enough', 's', '+'],
    ['failures before the first success change nothing', 'ffffs', '----+'],
    ['one or two failures change nothing', 'sffsffs', '+++++++'],
    ['three failures in a row take it down', 'sfff', '+++-'],
    ['failures that a success separates do not add up', 'sffsfff', '++++++-'],
    ['coming back takes two successes in a row', 'sfffss', '+++--+'],
    ['successes that a failure separates do not add up', 'sfffsfss', '+++----+'],
  ] as const) {
    test(rule, () => assert.equal(states(evidence), expected))
  }

  test('only flips are reported', () => {
    const health = new Health()
    assert.deepEqual(
      [...'ssfffffss'].map((letter) => health.observe(letter === 's')),
      [true, false, false, false, true, false, false, false, true],
    )
  })

  test('it wavers between the first evidence against it and the flip', () => {
    const health = new Health()
    const wavers = [...'sfffsss'].map((letter) => {
      health.observe(letter === 's')
      return health.isWavering
    })
    assert.deepEqual(wavers, [false, true, true, false, true, false, false])
  })
})

describe('a node is dead', () => {
  function after(...failures: number[]): Contact {
    const contact = new Contact()
    for (const at of failures) contact.failed(at)
    return contact
  }

  test('after three failed contacts over at least two seconds', () => {
    assert.equal(after(10, 11, 12).isDead, true)
    assert.equal(after(10, 10.1, 10.2, 12).isDead, true)
  })

  test('not after three within less, as of one burst', () => {
    assert.equal(after(10, 10.5, 11.9).isDead, false)
    assert.equal(after(10, 10, 10, 10, 10).isDead, false)
  })

  test('not after two, however far apart', () => {
    assert.equal(after(10, 100).isDead, false)
  })

  test('not before the first contact', () => {
    assert.equal(after().isDead, false)
    assert.equal(after().isFailing, false)
  })

  test('no more once it answered, and then all begins anew', () => {
    const contact = after(10, 11, 12)
    contact.answered()
    assert.equal(contact.isDead, false)
    assert.equal(contact.isFailing, false)
    contact.failed(20)
    contact.failed(30)
    assert.equal(contact.isDead, false)
    contact.failed(30)
    assert.equal(contact.isDead, true)
  })
})
