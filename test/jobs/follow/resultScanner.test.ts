/** A node's answer about one job is read piece by piece, and its result passed on as the bytes that came. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { JsonSyntaxError } from '../../../src/json/index.ts'
import { ResultScanner, ResultTooLargeError, type LoneVerdict } from '../../../src/jobs/follow/resultScanner.ts'

interface Read {
  readonly verdict: LoneVerdict
  readonly result: string
  readonly intermediate: string
}

/** Reads an answer for the job `a` in pieces of so many bytes. */
function read(text: string, pieceBytes = 3, maxBytes = 1000): Read {
  const parts = { result: '', intermediate: '' }
  const sink = {
    write: (part: 'result' | 'intermediate', bytes: Buffer): void => void (parts[part] += bytes.toString('latin1')),
    reset: (): void => void Object.assign(parts, { result: '', intermediate: '' }),
  }
  const scanner = new ResultScanner('a', sink, maxBytes)
  const bytes = Buffer.from(text, 'latin1')
  for (let at = 0; at < bytes.length; at += pieceBytes) scanner.push(bytes.subarray(at, at + pieceBytes))
  return { verdict: scanner.finish(), ...parts }
}

const RESULT = '{"output" : [NaN, 115792089237316195423570985008687907853269984665640564039457, "\\u00e9]}"]}'
const INTERMEDIATE = '[ {"output":-Infinity} ]'

describe('the answer about one job', () => {
  test('is read in pieces of any length, its results staying the bytes that came', () => {
    const text = `[ {"id":"a","intermediate_results": ${INTERMEDIATE} ,"result":${RESULT} , "status":"success"}\n]`
    for (let pieceBytes = 1; pieceBytes <= text.length; pieceBytes++) {
      const expected = { verdict: 'success', result: RESULT, intermediate: INTERMEDIATE }
      assert.deepEqual(read(text, pieceBytes), expected, `in pieces of ${pieceBytes}`)
    }
  })

  test('may have its members in any order, strange ones and escaped names among them', () => {
    const text = `[{"more":{"result":1,"id":"b"},"st\\u0061tus":"failed","result":"x","\\u0069d":"\\u0061"}]`
    assert.deepEqual(read(text), { verdict: 'failed', result: '"x"', intermediate: '' })
  })

  test('without a result has null for one', () => {
    assert.deepEqual(read('[{"id":"a","status":"success"}]'), { verdict: 'success', result: 'null', intermediate: '' })
  })

  test('leaves nothing where the job runs, is in a state unheard of, or is another', () => {
    const entry = (id: string, status: string): string => `[{"id":"${id}","status":"${status}","result":[1]}]`
    assert.deepEqual(read(entry('a', 'running')), { verdict: 'running', result: '', intermediate: '' })
    assert.deepEqual(read(entry('a', 'queued')), { verdict: 'running', result: '', intermediate: '' })
    assert.deepEqual(read(entry('b', 'success')), { verdict: 'unknown', result: '', intermediate: '' })
    assert.deepEqual(read('[1,[2,"a"],{}]'), { verdict: 'unknown', result: '', intermediate: '' })
    assert.deepEqual(read('[]'), { verdict: 'unknown', result: '', intermediate: '' })
  })

  test('may tell the job twice: the finished one stands', () => {
    const running = '{"id":"a","status":"running","result":[1]}'
    const finished = '{"id":"a","status":"success","result":[2]}'
    for (const text of [
      `[${running},${finished}]`,
      `[${finished},${running}]`,
      `[${finished},{"id":"b","result":3}]`,
    ]) {
      assert.deepEqual(read(text), { verdict: 'success', result: '[2]', intermediate: '' })
    }
  })

  test('is refused where it is no list, no JSON, not complete, or names a result twice', () => {
    const texts = [
      '{}',
      '"a"',
      '[{"id":"a"]',
      '[{"id":"a","result":1',
      '[{"result":1,"result":2}]',
      '[] 1',
      '[{"a":"\xff"}]',
    ]
    for (const text of texts) assert.throws(() => read(text), JsonSyntaxError, text)
  })

  test('is given up as soon as a part is longer than allowed', () => {
    const text = (name: string, bytes: number): string => `[{"id":"a","${name}":"${'x'.repeat(bytes - 2)}"}]`
    for (const [name, part] of [
      ['result', 'result'],
      ['intermediate_results', 'intermediate'],
    ] as const) {
      assert.equal(read(text(name, 100), 7, 100).verdict, 'unknown')
      const isTooLarge = (error: unknown): boolean => error instanceof ResultTooLargeError && error.part === part
      assert.throws(() => read(text(name, 101), 7, 100), isTooLarge)
    }
  })

  test('is not endless in what is no result either', () => {
    assert.throws(() => read(`[${' '.repeat(2_000_000)}]`, 10_000, 100), ResultTooLargeError)
  })
})
