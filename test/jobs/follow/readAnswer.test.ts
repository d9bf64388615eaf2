import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nodeJobSteps, type NodeJob } from '../../../src/jobs/follow/readAnswer.ts'
import { atOnce } from '../../kit/steps.ts'

function read(body: string | Buffer): NodeJob[] | undefined {
  return atOnce(nodeJobSteps(Buffer.from(body)))
}

describe('what a node says of jobs', () => {
  test('is read without a look into results: they stay the bytes that came', () => {
    const result = '{"container": "a","output":{"big":123456789012345678901234567890,"nan":NaN,"e":1E+2,"u":"\\u00fc"}}'
    const told = read(`[{"id":"x","intermediate_results":[ {"a" :1} ],"result":${result},"status":"success"}]\n`)
    assert.equal(told?.length, 1)
    const [job] = told
    assert.deepEqual([job!.id, job!.status], ['x', 'success'])
    assert.equal(job!.result?.toString(), result)
    assert.equal(job!.intermediate?.toString(), '[ {"a" :1} ]')
  })

  test('may come in any order of members, with strange ones, and without results', () => {
    const told = read('[{"status":"running","new":[{}],"id":"a\\u0062"},{"result":null,"id":"c","status":"failed"}]')
    assert.deepEqual(
      told!.map(({ id, status, result }) => [id, status, result?.toString()]),
      [
        ['ab', 'running', undefined],
        ['c', 'failed', 'null'],
      ],
    )
  })

  test('of a job in a state that nobody has heard of means that it has not ended', () => {
    assert.equal(read('[{"id":"a","status":"queued"}]')![0]!.status, 'running')
  })

  test('is left out where an entry names no job', () => {
    const told = read(
      '[1,null,"x",[],{},{"id":5,"status":"running"},{"id":"a"},{"id":"b","status":"success","result":1}]',
    )
    assert.deepEqual(
      told!.map(({ id }) => id),
      ['b'],
    )
  })

  test('is nothing at all where it is no list, or no JSON, or breaks off', () => {
    for (const text of ['', '{}', 'null', '<html>', '[{"id":"a"', '[1]x', '{"error":"x"}']) {
      assert.equal(read(text), undefined, text)
    }
    assert.equal(read(Buffer.from([0x5b, 0xff, 0x5d])), undefined)
  })

  test('may be deep, and of many jobs', () => {
    const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`
    const entries = Array.from({ length: 200 }, (_, n) => `{"id":"${n}","status":"success","result":${deep}}`)
    assert.equal(read(`[${entries.join(',')}]`)?.length, 200)
  })

  test('does not keep the whole answer in memory for one result', () => {
    const told = read(
      `[{"id":"a","status":"success","result":1},{"id":"b","status":"running","x":"${'y'.repeat(1e5)}"}]`,
    )
    assert.ok(told![0]!.result!.buffer.byteLength < 1e5)
  })
})
