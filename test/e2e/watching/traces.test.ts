/** Traces over OTLP, as a collector receives them. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { attributesOf, Collector, traceOf, treeOf } from '../../kit/traceCollector.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'

const file = { after }
const collector = await new Collector().start(file)
const options = { rateLimit: 0, containers: ['echo'] }
const node = await startFakeNode(options, file)
const second = await startFakeNode(options, file)
const service = await startFakeOpenAi({ models: ['m1'] }, file)
const gateway = await startGateway(file, {
  nodes: [node, second],
  services: [{ name: 'chat', url: service.url }],
  env: {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://${collector.address}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20of-the-collector',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=tests',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  },
})

/** The `traceparent` that a backend got with its last request. */
const lastParent = async (backend: typeof node | typeof service, endpoint: string): Promise<string | undefined> => {
  await backend.sync()
  return backend.requests
    .filter((one) => one.endpoint === endpoint)
    .at(-1)
    ?.header('traceparent')
}

describe('a trace', () => {
  test('of a job has its request, its try, the write of the ledger, and the one of its end', async () => {
    const requestId = randomUUID()
    const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'X-Request-Id': requestId } })
    const { id } = answer.json<{ id: string }>()
    // Its end is told when the job is asked for, at the latest.
    const spans = await collector.trace(traceOf(requestId), 4)
    assert.deepEqual(treeOf(spans), [
      'POST /api/jobs < nobody',
      'POST < POST /api/jobs',
      'ledger finish < POST /api/jobs',
      'ledger insert < POST /api/jobs',
    ])
    const [whole, attempt] = spans
    assert.deepEqual([whole!.kind, attempt!.kind], [2, 3])
    const told = attributesOf(whole!)
    assert.equal(told['http.route'], '/api/jobs')
    assert.equal(told['http.response.status_code'], 200)
    assert.equal(told['infernet_gateway.job.id'], id)
    assert.equal(told['infernet_gateway.tries'], 1)
    const line = await gateway.waitForLog((line) => line['requestId'] === requestId)
    assert.equal(line['traceId'], traceOf(requestId))
  })

  test('goes on from the client to the backend, whose parent is the try', async () => {
    const [traceId, spanId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
    const headers = { traceparent: `00-${traceId}-${spanId}-01` }
    await post(`${gateway.url}/api/jobs`, jobOf(), { headers })
    const spans = await collector.trace(traceId, 3)
    const whole = spans.find(({ name }) => name === 'POST /api/jobs')
    const attempt = spans.find(({ name }) => name === 'POST')
    assert.equal(whole?.parentSpanId, spanId)
    assert.equal(attempt?.parentSpanId, whole.spanId)
    const parents = await Promise.all([node, second].map((one) => lastParent(one, 'submit')))
    assert.ok(parents.includes(`00-${traceId}-${attempt.spanId}-01`), parents.join())
  })

  test('has a span for a wait, as long as that was', async () => {
    const requestId = randomUUID()
    const headers = { 'X-Request-Id': requestId, Prefer: 'wait=30' }
    const answer = await post(`${gateway.url}/api/jobs`, jobOf({ seconds: 0.5 }), { headers })
    assert.equal(answer.json<{ status: string }>().status, 'success')
    const wait = (await collector.trace(traceOf(requestId), 5)).find(({ name }) => name === 'wait for job')
    assert.ok(wait)
    assert.ok(Number(BigInt(wait.endTimeUnixNano) - BigInt(wait.startTimeUnixNano)) / 1e6 >= 400)
  })

  test('has a span for each try, of which the failed ones are errors', async () => {
    const requestId = randomUUID()
    for (const one of [node, second]) await one.pushBack('submit', { times: 1 })
    const headers = { 'X-Request-Id': requestId }
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf(), { headers })).status, 429)
    const tries = (await collector.trace(traceOf(requestId), 3)).filter(({ kind }) => kind === 3)
    assert.deepEqual(
      tries.map((span) => [attributesOf(span)['http.response.status_code'], span.status.code]),
      [
        [429, 2],
        [429, 2],
      ],
    )
    assert.equal(attributesOf(tries[1]!)['http.request.resend_count'], 1)
  })

  test('of a call of a model follows the conventions for these, streamed or not', async () => {
    for (const stream of [false, true]) {
      const requestId = randomUUID()
      const body = { model: 'm1', stream, stream_options: { include_usage: true }, messages: [] }
      const headers = { 'X-Request-Id': requestId }
      const url = `${gateway.url}/v1/chat/completions`
      if (stream) await (await openStream(url, { body, headers })).ended
      else await post(url, body, { headers })
      const spans = await collector.trace(traceOf(requestId), 2)
      assert.deepEqual(treeOf(spans), ['POST /v1/chat/completions < nobody', 'chat m1 < POST /v1/chat/completions'])
      const told = attributesOf(spans.find(({ name }) => name === 'chat m1')!)
      assert.equal(told['gen_ai.operation.name'], 'chat')
      assert.equal(told['gen_ai.provider.name'], 'openai')
      assert.deepEqual([told['gen_ai.request.model'], told['gen_ai.response.model']], ['m1', 'm1'])
      assert.ok(Number(told['gen_ai.usage.input_tokens']) > 0 && Number(told['gen_ai.usage.output_tokens']) > 0)
      const parent = await lastParent(service, 'chat')
      assert.equal(parent, `00-${traceOf(requestId)}-${spans.find(({ name }) => name === 'chat m1')!.spanId}-01`)
    }
  })

  test('says whose it is, and goes to the collector with its headers', () => {
    const { resource } = collector
    assert.equal(resource['service.name'], 'infernet-gateway')
    assert.match(String(resource['service.version']), /^\d+\./)
    assert.equal(resource['deployment.environment.name'], 'tests')
    assert.equal(collector.received[0]?.authorization, 'Bearer of-the-collector')
  })
})

/** A gateway with a collector of its own, or with one that is not there. */
async function tracing(t: Cleanup, endpoint: string, env: Record<string, string> = {}): Promise<Gateway> {
  return startGateway(t, { nodes: [node], env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...env } })
}

test('at the end what is left is sent, by default as protobuf; a name for the service and a sampler count', async (t) => {
  const own = await new Collector().start(t)
  const gateway = await tracing(t, `http://${own.address}`, {
    OTEL_SERVICE_NAME: 'my-gateway',
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
    OTEL_BSP_SCHEDULE_DELAY: '600000',
  })
  const wanted = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  await request(`${gateway.url}/livez`, { headers: { traceparent: wanted } })
  await request(`${gateway.url}/info`)
  assert.equal(own.received.length, 0)
  assert.equal((await gateway.stop()).code, 0)
  assert.equal(own.received.length, 1)
  const { contentType, body } = own.received[0]!
  assert.equal(contentType, 'application/x-protobuf')
  assert.ok(body.includes('my-gateway') && body.includes('GET /livez'))
  assert.ok(!body.includes('GET /info'))
})

test('a collector that is not there harms nothing, and has one warning', async (t) => {
  const gateway = await tracing(t, 'http://127.0.0.1:9', {
    OTEL_BSP_SCHEDULE_DELAY: '20',
    OTEL_EXPORTER_OTLP_TIMEOUT: '200',
    DRAIN_TIMEOUT: '1',
  })
  const ask = async (): Promise<void> => assert.equal((await request(`${gateway.url}/info`)).status, 200)
  const warnings = () => gateway.logs.filter(({ message }) => /^traces/.test(message ?? ''))
  await eventually(
    async () => {
      await ask()
      return warnings().length > 0
    },
    { withinMs: 20_000 },
  )
  for (let n = 0; n < 20; n++) await ask()
  assert.equal((await gateway.stop()).code, 0)
  assert.deepEqual(
    warnings().map(({ level, message }) => [level, message]),
    [['warn', 'traces cannot be exported, spans are dropped meanwhile']],
  )
})

test('a protocol that is not there is a warning, and the gateway serves without traces', async (t) => {
  const gateway = await tracing(t, 'http://127.0.0.1:9', { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })
  const line = await gateway.waitForLog(({ message }) => message === 'no traces: their settings are not valid')
  assert.match(JSON.stringify(line['error']), /http\/protobuf or http\/json, not grpc/)
})
