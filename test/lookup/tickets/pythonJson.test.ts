import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pythonNumber, pythonString } from '../../../src/lookup/tickets/pythonJson.ts'
import { pythonRewrites } from './python.ts'

test('an integer keeps its digits, however many', () => {
  for (const digits of ['0', '1', '256', '-7', '123456789012345680000', '9'.repeat(100)]) {
    assert.equal(pythonNumber(digits), digits)
  }
  assert.equal(pythonNumber('-0'), '0')
})

test('a float is written in its shortest form, with an exponent from 1e16 up and below 1e-4', () => {
  const expected = {
    '0.5': '0.5',
    '3.0': '3.0',
    '1e2': '100.0',
    '1e-7': '1e-07',
    '0.0001': '0.0001',
    '0.00001': '1e-05',
    '1.5e-10': '1.5e-10',
    '1e15': '1000000000000000.0',
    '1e16': '1e+16',
    '1e+21': '1e+21',
    '123456789012345678.0': '1.2345678901234568e+17',
    '1.7976931348623157e308': '1.7976931348623157e+308',
    '5e-324': '5e-324',
    '-0.0': '-0.0',
    '1e400': 'Infinity',
    '-1e400': '-Infinity',
  }
  for (const [spelling, text] of Object.entries(expected)) assert.equal(pythonNumber(spelling), text, spelling)
})

test('a string is escaped outside printable ASCII, and beyond the basic plane as two surrogates', () => {
  assert.equal(pythonString('a/b"\\\b\f\n\r\t'), String.raw`"a/b\"\\\b\f\n\r\t"`)
  assert.equal(pythonString('\u0000\u001f\u007f é\u2028😀'), String.raw`"\u0000\u001f\u007f \u00e9\u2028\ud83d\ude00"`)
  assert.equal(pythonString('\ud800'), String.raw`"\ud800"`)
})

test('numbers and strings of all sorts are written as Python itself writes them', async (t) => {
  const spellings = [...randomSpellings(20_000)]
  const texts = Array.from({ length: 0x3000 }, (_, i) => JSON.stringify(String.fromCharCode(i, 0x2fff - i, 0xd7f0 + i)))
  const documents = [...spellings, ...texts]
  const rewritten = await pythonRewrites(documents)
  if (!rewritten) return t.skip('python3 is not there to compare with')
  const own = [...spellings.map(pythonNumber), ...texts.map((text) => pythonString(JSON.parse(text) as string))]
  assert.equal(rewritten.length, own.length)
  for (const [i, text] of own.entries()) assert.equal(text, rewritten[i], documents[i])
})

/** Doubles of all sizes in the spellings that JavaScript has, the same ones at each run. */
function* randomSpellings(count: number): Generator<string> {
  const view = new DataView(new ArrayBuffer(8))
  let state = 1n
  for (let made = 0; made < count; made++) {
    // Knuth's MMIX constants; the upper bits, which hold sign and exponent, are the good ones.
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    view.setBigUint64(0, state)
    const any = view.getFloat64(0)
    const near = (Number(state >> 32n) / 2 ** 32) * 10 ** ((made % 50) - 25)
    const value = made % 2 === 0 && Number.isFinite(any) ? any : near
    yield [JSON.stringify(value), value.toExponential(), value.toPrecision(17), value.toPrecision(3)][made % 4]!
  }
}
