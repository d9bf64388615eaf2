import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { pipelineHash, startFakeNode } from '../../kit/fakeNode/index.ts'
import type { Endpoint, RecordedRequest } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }
const containers = ['echo', { id: 'inner', external: false }]
const node = await startFakeNode({ rateLimit: 0, containers, chain: true, recordBody: 16 * 2 ** 20 }, file)
const gateway = await gatewayFor(file, [node])

/** Two 256-bit integers, of which no double knows more than the beginning. */
const R = '115792089237316195423570985008687907853269984665640564039457584007908834671663'
const S = '57896044618658097711785492504343953926418782139537452191302581570759080747169'

/** Values that no reader of JSON in this language gives back as they were. */
const AWKWARD =
  `{"z":1,"a":2, "big":${R},"nan":NaN,"inf":-Infinity,"huge":1e400,"tiny":1e-07,"one":1.0,"exp":1E+2,"zero":-0.0,` +
  `"twice":1,"twice":2,"__proto__":{"x":1},"10":"ten","9":"nine","text":"\\u00e9\\/\\ud83d\\ude42é🙂","lone":"\\ud800",` +
  '"empty":{},"list":[ ],"deep":[[[[1]]]] ,\t"space"\r\n:\n null }'

/** What the node got when the client sent these bytes. */
async function sent(endpoint: Endpoint, path: string, body: string | Buffer): Promise<RecordedRequest> {
  const after = node.requests.at(-1)?.n ?? 0
  const open = await openStream(`${gateway.url}${path}`, { body })
  await open.ended
  assert.equal(open.status, 200, open.text)
  return node.waitFor((seen) => seen.endpoint === endpoint, { after })
}

describe('a body reaches the node byte for byte', () => {
  const BODIES = [
    `{"containers":["echo"],"data":${AWKWARD}}`,
    ` \n{ "data" : ${AWKWARD} , "requires_proof" : false ,\t"containers" : [ "echo" ] }\r\n `,
    '{"containers":["\\u0065cho"],"data":{"seconds":0},"requires_proof":null}',
  ]

  test('of a job', async () => {
    for (const body of BODIES) assert.equal((await sent('submit', '/api/jobs', body)).text, body)
  })

  test('of a stream', async () => {
    for (const body of BODIES) assert.equal((await sent('stream', '/api/jobs/stream', body)).text, body)
  })

  test('of a subscription', async () => {
    const body =
      `{"subscription":{"owner":"0x1","active_at":1,"period":0,"frequency":1,"redundancy":1,"lazy":false,` +
      `"containers":"${pipelineHash(['echo'])}","verifier":"0x0000000000000000000000000000000000000000",` +
      `"payment_amount":0,"payment_token":"0x0","wallet":"0x0"},` +
      `"signature":{"nonce":1,"expiry":4000000000,"v":27,"r":${R},"s":${S}},"data":${AWKWARD}}`
    assert.equal((await sent('submit', '/api/jobs', body)).text, body)
  })

  test('each item of a batch, whatever lies between them', async () => {
    const after = node.requests.at(-1)!.n
    const answer = await post(`${gateway.url}/api/jobs/batch`, `[ ${BODIES[0]!}\n,${BODIES[2]!} ]`)
    assert.equal(answer.status, 200)
    const { text } = await node.waitFor((seen) => seen.endpoint === 'batch', { after })
    assert.ok(text.includes(BODIES[0]!))
    assert.ok(text.includes(BODIES[2]!))
  })

  test('of six megabytes', async () => {
    const body = Buffer.from(`{"containers":["echo"],"data":{"blob":"${randomBytes(3_000_000).toString('hex')}"}}`)
    for (const [endpoint, path] of [
      ['submit', '/api/jobs'],
      ['stream', '/api/jobs/stream'],
    ] as const) {
      const seen = await sent(endpoint, path, body)
      assert.equal(seen.header('content-length'), String(body.length))
      assert.equal(sha256(seen.body!), sha256(body))
    }
  })
})

describe('a result reaches the client byte for byte', () => {
  async function finished(body: string, query = ''): Promise<{ id: string; text: string }> {
    const { id } = (await post(`${gateway.url}/api/jobs`, body)).json<{ id: string }>()
    const text = await eventually(async () => {
      const answer = await request(`${gateway.url}/api/jobs?id=${id}${query}`)
      return answer.text.endsWith('"status":"running"}]') ? undefined : answer.text
    })
    return { id, text }
  }

  test('of a job', async () => {
    const { id, text } = await finished(`{"containers":["echo"],"data":{"output":${AWKWARD}}}`)
    assert.equal(text, `[{"id":"${id}","result":{"container":"echo","output":${AWKWARD}},"status":"success"}]`)
  })

  test('of every step of a pipeline', async () => {
    const data = `{"output":${AWKWARD}}`
    const body = `{"containers":["echo","inner"],"data":${data}}`
    const { id, text } = await finished(body, '&intermediate=true')
    const step = `{"container":"echo","output":{"echo":${data},"container":"echo"}}`
    const result = `{"container":"inner","output":${AWKWARD}}`
    assert.equal(text, `[{"id":"${id}","intermediate_results":[${step}],"result":${result},"status":"success"}]`)
  })

  test('of a job that failed', async () => {
    const { id, text } = await finished('{"containers":["echo"],"data":{"fail":"é said \\"no\\""}}')
    const result = '{"container":"echo","error":"\\u00e9 said \\"no\\""}'
    assert.equal(text, `[{"id":"${id}","result":${result},"status":"failed"}]`)
  })

  test('of megabytes', async () => {
    const output = `"${randomBytes(2_000_000).toString('hex')}"`
    const { id, text } = await finished(`{"containers":["echo"],"data":{"output":${output}}}`)
    assert.equal(text, `[{"id":"${id}","result":{"container":"echo","output":${output}},"status":"success"}]`)
  })
})

test('the answer to a submission is the node’s own, to the last byte', async () => {
  const body = ' {"more": 1.0, "id" :  "the-nodes-own" }\n\n'
  await node.answer(200, 'submit', { times: 1, body })
  assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).text, body)
})

test('one result that cannot be read spoils no other', async () => {
  await node.answer(200, 'jobs', { body: '[]' })
  const make = async (): Promise<string> => (await post(`${gateway.url}/api/jobs`, jobOf())).json<{ id: string }>().id
  const [odd, fine] = [await make(), await make()]
  const body = `[{"id":"${odd}","status":7},{"id":5},null,{"id":"${fine}","result":{"n":NaN},"status":"success"}]`
  await node.answer(200, 'jobs', { body })
  const wanted = `[{"id":"${odd}","result":null,"status":"running"},{"id":"${fine}","result":{"n":NaN},"status":"success"}]`
  const url = `${gateway.url}/api/jobs?id=${odd}&id=${fine}`
  await eventually(async () => (await request(url)).text === wanted)
  await node.behave()
})

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
