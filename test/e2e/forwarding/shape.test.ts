import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

const file = { after }
const [node, other] = await Promise.all([
  startFakeNode({ rateLimit: 0, containers: ['echo', { id: 'inner', external: false }] }, file),
  startFakeNode({ rateLimit: 0, containers: ['elsewhere', { id: 'mixed', external: false }] }, file),
])
const gateway = await gatewayFor(file, [node, other])

const PATHS = ['/api/jobs', '/api/jobs/stream']

/** How many submissions and streams the nodes have seen. */
function seen(): number {
  return [node, other].reduce((sum, one) => sum + one.seen('submit').length + one.seen('stream').length, 0)
}

/** Sends it as a job and as a stream; both must be refused alike, and no node asked. Returns the error's text. */
async function refused(body: string | Buffer | object, status: number): Promise<string> {
  const before = seen()
  const [error, ofStream] = [
    assertError(await post(`${gateway.url}${PATHS[0]!}`, body), status),
    assertError(await post(`${gateway.url}${PATHS[1]!}`, body), status),
  ]
  assert.equal(ofStream, error)
  assert.equal(seen(), before)
  return error
}

// The whole grammar and every shape are tested in test/json and test/jobs/shape.test.ts.
test('a body that is not JSON, or deeper than a node reads, is a 400', async () => {
  for (const body of [
    '',
    '{"containers":["echo"],"data":{}',
    '{"containers":["echo"],"data":{}} {}',
    '\ufeff{"containers":["echo"],"data":{}}',
    Buffer.from('{"containers":["echo"],"data":{"a":"\xff"}}', 'latin1'),
    Buffer.from('{"containers":["echo"],"data":{}}', 'utf16le'),
    `{"containers":["echo"],"data":{"a":${'['.repeat(5000)}${']'.repeat(5000)}}}`,
  ]) {
    await refused(body, 400)
  }
})

describe('members by which a body would pass for somebody else’s are a 400', () => {
  const MEMBERS = { id: '"mine"', ip: '"198.51.100.7"', type: '"OffchainJob"' }
  for (const [name, value] of Object.entries(MEMBERS)) {
    test(`${name}, however it is spelt and wherever it stands`, async () => {
      const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`
      for (const spelling of [name, escaped, escaped.replace(/[0-9a-f]{2}(?=\w*$)/, (hex) => hex.toUpperCase())]) {
        for (const body of [
          `{"${spelling}":${value},"containers":["echo"],"data":{}}`,
          `{"containers":["echo"],"data":{},"${spelling}":${value}}`,
          `{"containers":["echo"],"${spelling}":null,"data":{}}`,
          `{"subscription":{},"signature":{},"data":{},"${spelling}":${value}}`,
        ]) {
          const error = assertError(await post(`${gateway.url}/api/jobs`, body), 400)
          assert.ok(error.includes(`"${name}"`), error)
          assertError(await post(`${gateway.url}/api/jobs/stream`, body), 400)
        }
      }
    })

    test(`${name} is no fault within data`, async () => {
      assert.equal((await post(`${gateway.url}/api/jobs`, jobOf({ [name]: 'x' }))).status, 200)
    })
  }
})

describe('a body of another shape is a 400 that names the fault', () => {
  test('in a job and in a subscription', async () => {
    for (const [body, names] of [
      ['null', /job/],
      ['{"data":{}}', /"containers"/],
      ['{"containers":["echo",7],"data":{}}', /"containers"/],
      ['{"containers":["echo"],"data":{},"\\u0063ontainers":[]}', /"containers"/],
      ['{"subscription":{},"data":{}}', /"signature"/],
    ] as const) {
      assert.match(await refused(body, 400), names)
    }
  })

  test('in a batch that is no list', async () => {
    for (const body of ['{}', '"x"', 'null', '5']) {
      assert.equal(assertError(await post(`${gateway.url}/api/jobs/batch`, body), 400), 'Expected a list')
    }
    for (const body of ['', '[', '[{}', '[]]']) assertError(await post(`${gateway.url}/api/jobs/batch`, body), 400)
  })
})

describe('containers that nobody runs', () => {
  async function answerTo(containers: string[]): Promise<{ status: number; text: string; retryAfter: number }> {
    const before = seen()
    const answer = await post(`${gateway.url}/api/jobs`, jobOf({}, containers))
    assert.equal(seen(), before)
    assertError(await post(`${gateway.url}/api/jobs/stream`, jobOf({}, containers)), answer.status)
    assert.equal(seen(), before)
    return { status: answer.status, text: answer.text, retryAfter: Number(answer.headers['retry-after']) }
  }

  test('are a 405 in a node’s words, which names the first of them', async () => {
    for (const containers of [
      ['nobody-has-this'],
      ['echo', 'nobody-has-this', 'nor-this'],
      ['inner', 'nobody-has-this'],
    ]) {
      const { status, text, retryAfter } = await answerTo(containers)
      assert.equal(status, 405)
      assert.equal(text, '{"error":"Container not supported","params":{"container":"nobody-has-this"}}')
      assert.ok(Number.isNaN(retryAfter))
    }
  })

  test('together are a 503 with Retry-After, where each has its node', async () => {
    const { status, text, retryAfter } = await answerTo(['echo', 'mixed'])
    assert.equal(status, 503)
    assert.ok(retryAfter >= 1)
    assert.equal(text, '{"error":"No healthy node runs echo, mixed","params":{"containers":["echo","mixed"]}}')
  })

  test('are named in short, however long their names', async () => {
    assert.deepEqual(JSON.parse((await answerTo(['x'.repeat(256)])).text), {
      error: 'Container not supported',
      params: { container: `${'x'.repeat(100)}…` },
    })
  })

  test('none at all are a 405 in a node’s words', async () => {
    const { status, text } = await answerTo([])
    assert.deepEqual([status, text], [405, '{"error":"No containers specified","params":{}}'])
  })

  test('an inner one first is a 405 in a node’s words', async () => {
    const { status, text } = await answerTo(['inner', 'echo'])
    assert.equal(status, 405)
    assert.equal(text, '{"error":"First container must be external","params":{"first_container":"inner"}}')
  })

  test('while a pipeline that one node runs is taken, an inner one behind an outer one', async () => {
    const answer = await post(`${gateway.url}/api/jobs`, jobOf({}, ['echo', 'inner']))
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['x-infernet-node'], node.address)
  })
})

test('a subscription that no chain-enabled node can take is a 503', async () => {
  const answer = await post(`${gateway.url}/api/jobs`, { subscription: {}, signature: {}, data: {} })
  assertError(answer, 503)
  assert.ok(Number(answer.headers['retry-after']) >= 1)
})

describe('X-Infernet-Cost', () => {
  test('is a number > 0, and anything else a 400', async () => {
    for (const cost of ['1', '0.5', '1e3', '1000000']) {
      const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'X-Infernet-Cost': cost } })
      assert.equal(answer.status, 200, cost)
    }
    for (const cost of ['0', '-1', 'NaN', 'Infinity', 'much', '', '1,2', '1e999']) {
      const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'X-Infernet-Cost': cost } })
      assert.match(assertError(answer, 400), /X-Infernet-Cost/, cost)
    }
  })
})

test('members that a node passes over go to it as they came', async () => {
  const more = '"extra" : [1.0, 123456789012345678901], "extra":null, "signature":"mine"'
  const job = `{"containers":["echo"],${more},"data":{}}`
  assert.equal((await post(`${gateway.url}/api/jobs`, job)).status, 200)
  assert.equal((await post(`${gateway.url}/api/jobs/stream`, job)).status, 200)
  assert.equal((await post(`${gateway.url}/api/jobs/batch`, `[${job}]`)).status, 200)
  assert.equal(node.seen('submit').at(-1)!.text, job)
  assert.equal(node.seen('stream').at(-1)!.text, job)
  assert.ok(node.seen('batch').at(-1)!.text.includes(job))
})
