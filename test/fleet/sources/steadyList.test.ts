import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SteadyList } from '../../../src/fleet/sources/steadyList.ts'
import { keepLines } from './logLines.ts'
import type { KeptLine } from './logLines.ts'

interface Steady {
  /** Offers a list, one entry a letter. */
  offer: (letters: string) => boolean
  believed: () => string | undefined
  confirmInMs: () => number | undefined
  lines: KeptLine[]
}

const LONG_MS = 60_000

function steady(believeAfterMs: number): Steady {
  const { logger, lines } = keepLines()
  const list = new SteadyList<{ key: string }>({ what: 'list', fields: { file: 'f' }, logger, believeAfterMs })
  return {
    lines,
    offer: (letters) => list.offer([...letters].map((key) => ({ key }))),
    believed: () => list.believed?.map(({ key }) => key).join(''),
    confirmInMs: () => list.confirmInMs,
  }
}

describe('a list is believed at once', () => {
  for (const [what, before, after] of [
    ['when it is the first', undefined, 'abc'],
    ['when it is the first, and empty', undefined, ''],
    ['after an empty one', '', 'a'],
    ['when it grows', 'ab', 'abcdef'],
    ['when it loses half of its entries', 'abcd', 'ab'],
    ['when it changes half of its entries', 'abcd', 'abef'],
    ['when it stays as it is, entries written twice included', 'abc', 'aabbcc'],
  ] as const) {
    test(what, () => {
      const { offer, believed, confirmInMs, lines } = steady(LONG_MS)
      if (before !== undefined) offer(before)
      assert.ok(offer(after))
      assert.equal(believed(), after)
      assert.equal(confirmInMs(), undefined)
      assert.deepEqual(lines, [])
    })
  }
})

describe('a list that is empty, or loses more than half of its entries,', () => {
  for (const shorter of ['', 'a', 'axyz', 'xyz']) {
    test(`such as "${shorter}" after "abc", is not believed, and one warning says so`, () => {
      const { offer, believed, confirmInMs, lines } = steady(LONG_MS)
      offer('abc')
      for (let n = 0; n < 3; n++) assert.ok(!offer(shorter))
      assert.equal(believed(), 'abc')
      assert.ok(confirmInMs()! > 0 && confirmInMs()! <= LONG_MS)
      assert.deepEqual(
        lines.map(({ level }) => level),
        ['warn'],
      )
      const missing = shorter.startsWith('a') ? 2 : 3
      assert.deepEqual(lines[0]?.fields, { file: 'f', known: 3, missing, seconds: LONG_MS / 1000 })
    })
  }

  test('is believed once it has stayed so for long enough, and the log says that too', async () => {
    const { offer, believed, confirmInMs, lines } = steady(30)
    offer('abc')
    assert.ok(!offer('x'))
    while (!offer('xy')) await sleep(confirmInMs())
    assert.equal(believed(), 'xy')
    assert.equal(confirmInMs(), undefined)
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['warn', 'warn'],
    )
  })

  test('changes nothing when its entries come back in time, and the log says so', () => {
    const { offer, believed, confirmInMs, lines } = steady(LONG_MS)
    offer('abcd')
    offer('')
    assert.ok(offer('abc'))
    assert.equal(believed(), 'abc')
    assert.equal(confirmInMs(), undefined)
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['warn', 'info'],
    )
  })

  test('has its time start again with each entry that comes back: it is still being written', async () => {
    const believeAfterMs = 200
    const { offer, confirmInMs } = steady(believeAfterMs)
    offer('abcdef')
    offer('')
    await sleep(20)
    const beforeMs = confirmInMs()!
    assert.ok(!offer('a'))
    assert.ok(confirmInMs()! > beforeMs)
  })
})
