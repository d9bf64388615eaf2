import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PIECE_CHARACTERS, PrefixChain } from '../../../src/dispatch/warmCaches/prefixChain.ts'

const PROSE =
  'Größe, 漢字, 😀 "quoted" \\ and\ttabs;\nplain text of some length follows, as most of it is plain. '.repeat(60)

function chainOf(...parts: string[]): PrefixChain {
  const chain = new PrefixChain()
  for (const part of parts) chain.add(part)
  return chain
}

/** Numbers in [0, 1), the same in each run. */
function seeded(seed: number): () => number {
  return () => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) / 0x80000000
}

function* cut(text: string, random: () => number, most: number): Generator<string> {
  for (let at = 0; at < text.length;) {
    const end = at + 1 + Math.floor(random() * most)
    yield text.slice(at, end)
    at = Math.min(end, text.length)
  }
}

function same(a: PrefixChain, b: PrefixChain, what?: string): void {
  assert.deepEqual([a.numbers, a.length, a.state], [b.numbers, b.length, b.state], what)
}

describe('a chain', () => {
  test('has a number after every 1,024 characters, and none for the rest', () => {
    for (const [length, count] of [
      [0, 0],
      [1023, 0],
      [1024, 1],
      [1025, 1],
      [10_240, 10],
    ] as const) {
      const chain = chainOf('x'.repeat(length))
      assert.deepEqual([chain.numbers.length, chain.length], [count, length])
    }
  })

  test('is the same for a text in whatever parts it is added', () => {
    const whole = chainOf(PROSE)
    for (let seed = 1; seed <= 40; seed++)
      same(chainOf(...cut(PROSE, seeded(seed), seed * seed)), whole, `seed ${seed}`)
    const single = new PrefixChain()
    for (let at = 0; at < PROSE.length; at++) single.addUnit(PROSE.charCodeAt(at))
    same(single, whole)
  })

  test('is the same for a text and for its JSON, however that is escaped and wherever it lies in memory', () => {
    const plain = JSON.stringify(PROSE)
    const hex = (unit: string) => unit.charCodeAt(0).toString(16).padStart(4, '0')
    const ascii = plain.replace(/[^ -~]/g, (unit) => `\\u${hex(unit)}`)
    const upper = plain.replace(/[^ -~]/g, (unit) => `\\u${hex(unit).toUpperCase()}`)
    const odd = plain.replaceAll(/[e;]/g, (unit) => `\\u${hex(unit)}`)
    for (const json of [plain, ascii, upper, odd]) {
      for (let offset = 0; offset < 5; offset++) {
        const bytes = Buffer.from(`${' '.repeat(offset)}${json}, "more"`)
        const chain = chainOf('ab'.slice(offset % 3))
        assert.equal(chain.addJson(bytes, offset + 1, bytes.length), bytes.length - ', "more"'.length)
        same(chain, chainOf('ab'.slice(offset % 3), PROSE))
      }
    }
  })

  test('reads JSON in steps that end anywhere', () => {
    const bytes = Buffer.from(JSON.stringify(PROSE))
    for (const step of [1, 2, 3, 7, 64, 1000]) {
      const chain = new PrefixChain()
      let at = 1
      for (;;) {
        const next = chain.addJson(bytes, at, Math.min(bytes.length, at + step))
        if (next > 0) break
        at = -next
      }
      same(chain, chainOf(PROSE), `steps of ${step}`)
    }
  })

  test('reads bytes that are no JSON to their end', () => {
    for (const text of ['', '\\', '\\u', '\\u12', 'ab\\uzzzz', '\xe2', '\xf0\x9f', '\xff\xfe"']) {
      const bytes = Buffer.from(text, 'latin1')
      const next = new PrefixChain().addJson(bytes, 0, bytes.length)
      assert.ok(Math.abs(next) >= bytes.length, JSON.stringify(text))
    }
  })

  test('takes bytes as a character each', () => {
    const bytes = Buffer.from(PROSE.repeat(2))
    for (const start of [0, 1, 2, 3, 5000]) {
      const chain = chainOf('abc'.slice(start % 3))
      chain.addBytes(bytes, start, bytes.length)
      same(chain, chainOf('abc'.slice(start % 3), bytes.toString('latin1', start)))
    }
  })

  test('agrees with that of any other gateway', () => {
    const chain = chainOf('Stands for a text and each of its beginnings. '.repeat(50))
    assert.deepEqual([chain.numbers, chain.state], [[4039949902346968, 3638220341528630], 3797614166339915])
  })

  test('shares with another the numbers of their common beginning, and no other', () => {
    const text = PROSE.slice(0, 5 * PIECE_CHARACTERS)
    const whole = chainOf(text).numbers
    for (const at of [0, 1023, 1024, 2500, 5119]) {
      const other = chainOf(`${text.slice(0, at)}\u0000${text.slice(at + 1)}`).numbers
      const common = Math.floor(at / PIECE_CHARACTERS)
      assert.deepEqual(other.slice(0, common), whole.slice(0, common))
      assert.ok(other.slice(common).every((number) => !whole.includes(number)))
    }
  })

  test('tells apart texts that differ little', () => {
    const texts = Array.from({ length: 4000 }, (_, i) => {
      const [at, by] = [i % 1000, 1 + Math.floor(i / 1000)]
      return `${'x'.repeat(at)}${String.fromCharCode(0x78 ^ (by << (by === 4 ? 8 : by)))}${'x'.repeat(1023 - at)}`
    })
    assert.equal(new Set(texts.map((text) => chainOf(text).numbers[0])).size, texts.length)
    assert.equal(
      new Set(['', 'a', 'b', 'aa', 'ab', 'ba', '\u0100', '\u0001', '\u0000'].map((t) => chainOf(t).state)).size,
      9,
    )
  })

  test('goes on by itself once it is forked', () => {
    const chain = chainOf(PROSE)
    const fork = chain.fork()
    fork.add('another end')
    same(chain, chainOf(PROSE))
    same(fork, chainOf(PROSE, 'another end'))
    chain.add('an end')
    same(chain, chainOf(PROSE, 'an end'))
  })
})
