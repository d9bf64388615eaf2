import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FAULTS, GatewayFault } from '../../src/faults.ts'
import { batchSteps, submissionSteps } from '../../src/jobs/shape.ts'
import { atOnce } from '../kit/steps.ts'

const HASH = `0x${'ab'.repeat(32)}`
const SUBSCRIPTION = `{"subscription":{"containers":"${HASH}"},"signature":{"r":1,"s":2,"v":27},"data":{}}`

const readBatch = (bytes: Buffer) => atOnce(batchSteps(bytes))

const read = (source: string) => atOnce(submissionSteps(Buffer.from(source)))

function refuses(source: string, status: number, message: RegExp): GatewayFault {
  try {
    read(source)
  } catch (error) {
    assert.ok(error instanceof GatewayFault, String(error))
    assert.match(error.message, message)
    assert.equal(FAULTS[error.code].status, status)
    return error
  }
  assert.fail(`${source} was accepted`)
}

suite('a job', () => {
  test('is containers and data, perhaps with requires_proof', () => {
    const job = (containers: string[]) => ({ kind: 'job', containers })
    assert.deepEqual(read('{"containers":["a","b","a"],"data":{"x":[NaN,1e400]}}'), job(['a', 'b', 'a']))
    assert.deepEqual(read('{"data":{},"requires_proof":true,"containers":["a"]}'), job(['a']))
    assert.deepEqual(read('{"containers":["a"],"data":{},"requires_proof":false}'), job(['a']))
    assert.deepEqual(read('{"containers":["a"],"data":{},"requires_proof":null}'), job(['a']))
    assert.deepEqual(read(String.raw`{"c\u006fntainers":["\u0061\ud83d\ude00"],"data":{}}`), job(['a😀']))
  })

  test('may hold anything in its data, also what is forbidden at the top', () => {
    assert.equal(read('{"containers":["a"],"data":{"id":"1","ip":"2","type":"3","x":1,"x":2}}').kind, 'job')
  })

  test('with no containers is refused as a node refuses it', () => {
    const fault = refuses('{"containers":[],"data":{}}', 405, /^No containers specified$/)
    assert.equal(fault.code, 'ERR_JOB_REFUSED')
    assert.deepEqual(fault.params, {})
  })

  test('is 400 rather than 405 where its shape is wrong besides', () => {
    refuses(
      '{"containers":[]}',
      400,
      /"data" is missing: a job has "containers", "data" and, optionally, "requires_proof"/,
    )
    refuses('{"containers":[],"data":{},"id":"x"}', 400, /"id" is not allowed/)
  })

  test('names its containers by strings that are not empty', () => {
    refuses('{"containers":"a","data":{}}', 400, /"containers" must be an array, not a string/)
    refuses(
      '{"containers":["a",1],"data":{}}',
      400,
      /"containers" must be a list of container ids, but its element 1 is a number/,
    )
    refuses('{"containers":["a",""],"data":{}}', 400, /its element 1 is empty/)
    refuses('{"containers":[["a"]],"data":{}}', 400, /its element 0 is an array/)
    refuses('{"containers":null,"data":{}}', 400, /"containers" must be an array, not null/)
    refuses('{"containers":{"0":"a"},"data":{}}', 400, /"containers" must be an array, not an object/)
    refuses('{"containers":[null],"data":{}}', 400, /its element 0 is null/)
  })

  test('has an object for its data and a truth value or null for requires_proof', () => {
    refuses('{"containers":["a"],"data":[]}', 400, /"data" must be an object, not an array/)
    refuses('{"containers":["a"],"data":null}', 400, /"data" must be an object, not null/)
    refuses('{"containers":["a"],"data":"{}"}', 400, /"data" must be an object, not a string/)
    refuses(
      '{"containers":["a"],"data":{},"requires_proof":"yes"}',
      400,
      /"requires_proof" must be true, false or null/,
    )
    refuses(
      '{"containers":["a"],"data":{},"requires_proof":1}',
      400,
      /"requires_proof" must be true, false or null, not a number/,
    )
  })

  test('may have members that a node passes over', () => {
    const expected = { kind: 'job', containers: ['a'] }
    assert.deepEqual(read('{"containers":["a"],"data":{},"x":1,"x":2,"signature":{}}'), expected)
    const many = Array.from({ length: 900 }, (_, i) => `"m${i}":1`).join()
    assert.deepEqual(read(`{${many},"containers":["a"],"data":{}}`), expected)
  })

  test('of more than 1000 members is none', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => `"m${i}":1`).join()
    refuses(`{"containers":["a"],"data":{},${many}}`, 400, /More than 1000 members/)
  })

  test('has each member once, since readers differ in which of two they take', () => {
    refuses('{"containers":["a"],"data":{},"containers":["b"]}', 400, /"containers" is there more than once/)
    refuses(String.raw`{"containers":["a"],"data":{},"dat\u0061":{}}`, 400, /"data" is there more than once/)
  })
})

suite('a subscription', () => {
  test('is subscription, signature and data, perhaps with requires_proof', () => {
    const expected = { kind: 'subscription', containersHash: HASH }
    assert.deepEqual(read(SUBSCRIPTION), expected)
    assert.deepEqual(read(SUBSCRIPTION.replace('"data":{}', '"data":{},"requires_proof":true')), expected)
    assert.deepEqual(read(SUBSCRIPTION.replace('"data":{}', '"data":{},"x":1')), expected)
    assert.deepEqual(read(SUBSCRIPTION.replace(HASH, HASH.toUpperCase().slice(2))), expected)
  })

  test('is read by the last of several container hashes, as a node reads it', () => {
    const twice = SUBSCRIPTION.replace('"containers":', `"containers":"0x${'00'.repeat(32)}","containers":`)
    assert.deepEqual(read(twice), { kind: 'subscription', containersHash: HASH })
  })

  test('whose hash makes no sense is left to a node to refuse', () => {
    for (const inner of ['{}', '{"containers":1}', '{"containers":"0x12"}']) {
      const submission = read(`{"subscription":${inner},"signature":{},"data":{}}`)
      assert.deepEqual(submission, { kind: 'subscription', containersHash: '' })
    }
  })

  test('lacks nothing', () => {
    refuses(
      '{"subscription":{},"data":{}}',
      400,
      /"signature" is missing: a subscription has "subscription", "signature"/,
    )
    refuses('{"subscription":{},"signature":{}}', 400, /"data" is missing: a subscription has/)
    refuses('{"subscription":[],"signature":{},"data":{}}', 400, /"subscription" must be an object, not an array/)
    refuses('{"subscription":{},"signature":"x","data":{}}', 400, /"signature" must be an object, not a string/)
    refuses(SUBSCRIPTION.replace('"data":{}', '"data":1'), 400, /"data" must be an object, not a number/)
    refuses(SUBSCRIPTION.replace('"data":{}', '"data":{},"ip":"1.2.3.4"'), 400, /"ip" is not allowed/)
    refuses(SUBSCRIPTION.replace('"data":{}', '"data":{},"requires_proof":"yes"'), 400, /"requires_proof" must be/)
  })
})

suite('a body', () => {
  test('is one of job and subscription', () => {
    refuses('{}', 400, /Neither "containers" nor "subscription": a job has .*, a subscription has/)
    refuses(
      '{"containers":["a"],"subscription":{},"signature":{},"data":{}}',
      400,
      /Both of "containers" and "subscription"/,
    )
    refuses('[]', 400, /Expected a job or a subscription, found an array/)
    refuses('"x"', 400, /Expected a job or a subscription, found a string/)
    refuses('null', 400, /Expected a job or a subscription, found null/)
  })

  test('that is not JSON is told at which byte', () => {
    const fault = refuses(
      '{"containers":["a"],}',
      400,
      /cannot be read as JSON: Expected a member's name, found '}' at byte 20/,
    )
    assert.equal(fault.code, 'ERR_BAD_JSON')
    refuses('', 400, /cannot be read as JSON: Expected a value, found the end at byte 0/)
    refuses(
      `{"containers":["a"],"data":{"n":${'9'.repeat(4301)}}}`,
      400,
      /An integer has more than 4300 digits at byte 32/,
    )
  })
})

suite('a batch', () => {
  test('tells each item’s place and shape, or what is wrong with it', () => {
    const sources = ['{"containers":["a"],"data":{}}', '7', '{"containers":[],"data":{}}', SUBSCRIPTION, '{"id":1}']
    const bytes = Buffer.from(`[ ${sources.join(' ,\n')} ]`)
    const items = readBatch(bytes)
    assert.deepEqual(
      items.map(({ start, end }) => bytes.toString('utf8', start, end)),
      sources,
    )
    assert.deepEqual(
      items.map(({ submission, fault }) => submission?.kind ?? `${FAULTS[fault!.code].status} ${fault?.message}`),
      [
        'job',
        '400 Expected a job or a subscription, found a number',
        '405 No containers specified',
        'subscription',
        '400 "id" is not allowed: a job has "containers", "data" and, optionally, "requires_proof"',
      ],
    )
  })

  test('may be empty', () => {
    assert.deepEqual(readBatch(Buffer.from(' [ ] ')), [])
  })

  test('is a list', () => {
    for (const source of ['{"containers":["a"],"data":{}}', 'null', '"x"']) {
      assert.throws(() => readBatch(Buffer.from(source)), { code: 'ERR_BAD_SHAPE', message: 'Expected a list' })
    }
    assert.throws(() => readBatch(Buffer.from('[{},')), { code: 'ERR_BAD_JSON' })
  })

  test('of more than 10,000 items is refused before any is read', () => {
    assert.equal(readBatch(Buffer.from(`[${'0,'.repeat(9_999)}0]`)).length, 10_000)
    assert.throws(() => readBatch(Buffer.from(`[${'0,'.repeat(10_000)}0]`)), { code: 'ERR_BATCH_TOO_LARGE' })
  })
})
