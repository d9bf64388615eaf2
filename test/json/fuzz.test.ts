import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANSWER_LIMITS, JsonStream, JsonSyntaxError, NODE_LIMITS, stringAt } from '../../src/json/index.ts'
import { ValueWalk } from '../../src/json/walk.ts'
import { scanValue } from './scan.ts'

/** A small seeded generator (mulberry32), so that a failure can be run again. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

type Random = ReturnType<typeof randomFrom>

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)]!

const SPACES = ['', '', '', ' ', '\n', '\t\r\n ']
const PLAIN_PIECES = ['a', 'id', ' ', 'é', '😀', '\u007f', '\u2028', '{', '[', ',', ':', 'x'.repeat(70)]
const ESCAPES = ['\\n', '\\"', '\\\\', '\\/', '\\b', '\\u0069', '\\u00E9', '\\ud83d\\ude00', '\\ud800', '\\u0000']
const NUMBERS = [
  '0',
  '-0',
  '7',
  '-12',
  '0.5',
  '1e5',
  '1E+05',
  '-2.25e-10',
  '1e400',
  '9'.repeat(78),
  '100000000000000000000',
]
const WORDS = ['true', 'false', 'null']

function document(random: Random, depth = 0): string {
  const space = () => pick(random, SPACES)
  const list = (item: () => string) => Array.from({ length: random(4) }, item).join(`${space()},${space()}`)
  const value = () => document(random, depth + 1)
  switch (random(depth > 5 ? 3 : 6)) {
    case 0:
      return pick(random, NUMBERS)
    case 1:
      return pick(random, WORDS)
    case 2:
      return string(random)
    case 3:
      return `[${space()}${list(value)}${space()}]`
    default:
      return `{${space()}${list(() => `${name(random)}${space()}:${space()}${value()}`)}${space()}}`
  }
}

function string(random: Random): string {
  const piece = () => pick(random, random(3) === 0 ? ESCAPES : PLAIN_PIECES)
  return `"${Array.from({ length: random(4) }, piece).join('')}"`
}

/**
 * V8 13.6 takes an escaped name for an earlier one that has a backslash: once it has read `["😀",{"a":1,"\\":2}]`, it
 * reads the `\u0069` in `["😀",{"a":1,"\u0069":2}]` as a backslash. So names here have none.
 */
function name(random: Random): string {
  return string(random).replaceAll('\\\\', '')
}

/** Bytes that hit the grammar's corners. None of them can make up NaN or Infinity, which JSON.parse refuses. */
const ODD_BYTES = [
  ...Buffer.from('{}[]",:\\/ \n\t-+.0123eEtrufalsn'),
  0,
  0x0b,
  0x1f,
  0x7f,
  0x80,
  0xa0,
  0xc3,
  0xe2,
  0xed,
  0xff,
]

function mutated(random: Random, bytes: Buffer): Buffer {
  const at = random(bytes.length + 1)
  const odd = Buffer.from([pick(random, ODD_BYTES)])
  switch (random(4)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), odd, bytes.subarray(at)])
    case 1:
      return Buffer.concat([bytes.subarray(0, at), odd, bytes.subarray(at + 1)])
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(3))])
    default:
      return bytes.subarray(0, at)
  }
}

/** What JSON.parse says of the bytes, with the reasons to refuse that it does not know. */
function parsed(bytes: Buffer): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as unknown }
  } catch {
    return undefined
  }
}

/** The value as put together from what a scan told. */
function assembled(bytes: Buffer, start: number, end: number): unknown {
  const value = scanValue(bytes, start, end)
  if (value.kind === 'array') return value.elements.map((element) => assembled(bytes, element.start, element.end))
  if (value.kind !== 'object') {
    return value.kind === 'string' ? stringAt(bytes, value) : JSON.parse(bytes.toString('utf8', value.start, value.end))
  }
  // A member called __proto__ would not become one by assignment; the documents here have none.
  return Object.fromEntries(value.members.map((member) => [member.name, assembled(bytes, member.start, member.end)]))
}

/** Puts the bytes among others, so that reading beyond either end would show. */
function embedded(random: Random, bytes: Buffer): { all: Buffer; start: number; end: number } {
  const noise = () => Buffer.from(Array.from({ length: random(9) }, () => pick(random, ODD_BYTES)))
  const head = noise()
  return { all: Buffer.concat([head, bytes, noise()]), start: head.length, end: head.length + bytes.length }
}

/** Holds the scan's verdict against JSON.parse's, and tells it. */
function verdict(random: Random, bytes: Buffer): boolean {
  const accepted = parsed(bytes) !== undefined
  const { all, start, end } = embedded(random, bytes)
  const isFault = (error: unknown) => error instanceof JsonSyntaxError && error.offset >= start && error.offset <= end
  if (accepted) scanValue(all, start, end)
  else assert.throws(() => scanValue(all, start, end), isFault, `${bytes.toString()} | ${bytes.toString('hex')}`)
  return accepted
}

test('what JSON.parse reads is read, and to the same values', () => {
  const random = randomFrom(1)
  for (let i = 0; i < 5_000; i++) {
    const bytes = Buffer.from(document(random))
    const { all, start, end } = embedded(random, bytes)
    assert.deepEqual(assembled(all, start, end), parsed(bytes)?.value, bytes.toString())
  }
})

test('what is broken is refused exactly where JSON.parse refuses it', () => {
  const random = randomFrom(2)
  let accepted = 0
  const rounds = 30_000
  for (let i = 0; i < rounds; i++) {
    let bytes: Buffer = Buffer.from(document(random))
    for (let n = 1 + random(2); n > 0; n--) bytes = mutated(random, bytes)
    if (verdict(random, bytes)) accepted++
  }
  assert.ok(
    accepted > rounds / 20 && accepted < rounds / 2,
    `${accepted} of ${rounds} accepted: one side is not tested`,
  )
})

/** What a walk tells of the bytes, or how it fails, when it pauses about every `pace` bytes. */
function walked(bytes: Buffer, pace: number): unknown[] {
  const told: unknown[] = []
  const walk = new ValueWalk(bytes, 0, bytes.length, NODE_LIMITS, {
    name: (start, end) => told.push(['name', start, end]),
    begin: (start) => told.push(['begin', start]),
    end: (end) => told.push(['end', end]),
  })
  try {
    while (!walk.run(Math.min(bytes.length, walk.at + pace)));
    told.push(['over', walk.at])
  } catch (error) {
    told.push([(error as Error).message])
  }
  return told
}

test('a walk that pauses anywhere finds what one without a break finds', () => {
  const random = randomFrom(4)
  for (let i = 0; i < 10_000; i++) {
    let bytes: Buffer = Buffer.from(document(random).trimStart())
    if (random(2) === 0) bytes = mutated(random, bytes)
    assert.deepEqual(walked(bytes, 1 + random(4)), walked(bytes, bytes.length), bytes.toString())
  }
})

/** The parts of the outermost value as a stream tells them of bytes in pieces, or `undefined` where it refuses them. */
function streamed(random: Random, bytes: Buffer): string[] | undefined {
  const parts: string[] = []
  let open: Buffer[] | undefined
  let piece: Buffer = Buffer.alloc(0)
  let start = 0
  const begin = (level: number, at: number): void => {
    if (level !== 1) return
    open = []
    start = at
  }
  const end = (level: number, at: number): void => {
    if (level !== 1) return
    parts.push(Buffer.concat([...open!, piece.subarray(start, at)]).toString('latin1'))
    open = undefined
  }
  const stream = new JsonStream({ begin, end, beginName: begin, endName: end }, 1, ANSWER_LIMITS)
  try {
    for (let at = 0; at < bytes.length; at += piece.length) {
      piece = bytes.subarray(at, at + 1 + random(6))
      start = 0
      stream.push(piece)
      open?.push(piece.subarray(start))
    }
    piece = Buffer.alloc(0)
    start = 0
    stream.end()
    return parts
  } catch (error) {
    assert.ok(error instanceof JsonSyntaxError && error.offset <= bytes.length, String(error))
    return undefined
  }
}

function scanned(bytes: Buffer): string[] | undefined {
  const parts: string[] = []
  const tell = (start: number, end: number): void => void parts.push(bytes.toString('latin1', start, end))
  let start = 0
  try {
    scanValue(bytes, 0, bytes.length, ANSWER_LIMITS)
    const first = bytes.length - bytes.toString('latin1').trimStart().length
    const listener = { name: tell, begin: (at: number) => void (start = at), end: (at: number) => tell(start, at) }
    new ValueWalk(bytes, first, bytes.length, ANSWER_LIMITS, listener).run(bytes.length)
    return parts
  } catch {
    return undefined
  }
}

test('bytes that come in pieces are accepted or refused as a whole buffer is, and have the same parts', () => {
  const random = randomFrom(5)
  let accepted = 0
  for (let i = 0; i < 20_000; i++) {
    let bytes: Buffer = Buffer.from(document(random))
    if (random(3) > 0) bytes = mutated(random, bytes)
    if (random(8) === 0) bytes = Buffer.from(`[NaN,-Infinity ,{"a":Infinity}${pick(random, ['', ',-1', 'N'])}]`)
    const expected = scanned(bytes)
    assert.deepEqual(streamed(random, bytes), expected, `${bytes.toString()} | ${bytes.toString('hex')}`)
    if (expected) accepted++
  }
  assert.ok(accepted > 2_000 && accepted < 18_000, `${accepted} accepted: one side is not tested`)
})

test('short runs of odd bytes are accepted or refused as by JSON.parse', () => {
  const random = randomFrom(3)
  for (let i = 0; i < 30_000; i++) {
    verdict(random, Buffer.from(Array.from({ length: random(7) }, () => pick(random, ODD_BYTES))))
  }
})
