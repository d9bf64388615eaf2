/** What answers say of why their backend was chosen, with ROUTING_HEADERS. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { openStream, post, request, type Answer } from '../../kit/http.ts'
import { startRealtimeService } from '../../kit/realtimeService.ts'

const file = { after }
const NUMBER = String.raw`\d+\.\d{3}`
const OF_TWO = `; best=${NUMBER}; second=${NUMBER}`
const OF_ONE = `; best=${NUMBER}`

const nodes = [
  await startFakeNode({ rateLimit: 0, containers: ['both', 'alone'] }, file),
  await startFakeNode({ rateLimit: 0, containers: ['both'] }, file),
] as const
const services = [
  await startFakeOpenAi({ models: ['both', 'alone'] }, file),
  await startFakeOpenAi({ models: ['both'] }, file),
] as const
const realtime = await startRealtimeService(file)
const gateway = await startGateway(file, {
  nodes,
  // As long as both are idle, the first is chosen.
  services: [entryOf(services[0], { weight: 9 }), entryOf(services[1]), entryOf(realtime)],
  env: { ROUTING_HEADERS: 'true', REFRESH_INTERVAL: '60', CORS_ORIGINS: 'https://app.example' },
})

const ask = (model: string, more: object = {}): Promise<Answer> =>
  post(`${gateway.url}/v1/chat/completions`, { model, messages: [{ role: 'user', content: 'Hello' }], ...more })
const submit = (container: string, headers: Record<string, string> = {}): Promise<Answer> =>
  post(`${gateway.url}/api/jobs`, jobOf({}, [container]), { headers })

function assertReason({ status, headers }: Pick<Answer, 'status' | 'headers'>, reason: string, expected = 200): void {
  assert.equal(status, expected)
  assert.match(String(headers['x-routing-reason']), new RegExp(`^${reason}$`))
}

describe('with ROUTING_HEADERS answers say why their backend was chosen', () => {
  test('whole ones of services, and streams', async () => {
    assertReason(await ask('both'), `least loaded${OF_TWO}`)
    assertReason(await ask('both', { stream: true }), `least loaded${OF_TWO}`)
    assertReason(await ask('alone'), `only one${OF_ONE}`)
  })

  test('jobs, those that are waited for too, and their streams', async () => {
    assertReason(await submit('both'), `least loaded${OF_TWO}`)
    assertReason(await submit('both', { Prefer: 'wait=30' }), `least loaded${OF_TWO}`)
    assertReason(await submit('alone'), `only one${OF_ONE}`)
    const stream = await openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf({}, ['both']) })
    await stream.ended
    assertReason(stream, `least loaded${OF_TWO}`)
  })

  test('that a service has the beginning of the prompt in its cache', async () => {
    const first = { role: 'user', content: 'a long question '.repeat(200) }
    assertReason(await ask('both', { messages: [first] }), `least loaded${OF_TWO}`)
    const [answer, second] = ['an answer', 'and then?'].map((content, n) => ({
      role: n ? 'user' : 'assistant',
      content,
    }))
    assertReason(await ask('both', { messages: [first, answer, second] }), `warm${OF_TWO}`)
    const { text } = await request(`${gateway.url}/metrics`)
    const labels = `service="${services[0].address}",model="both",warm="true"`
    assert.match(text, new RegExp(`infernet_gateway_service_prompts_total{${labels}} 1\\n`))
  })

  test('switches to WebSocket', async (t) => {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/realtime?model=voice`)
    t.after(() => socket.terminate())
    const opened = once(socket, 'open')
    const [answer] = (await once(socket, 'upgrade')) as [{ headers: Answer['headers'] }]
    assertReason({ status: 200, headers: answer.headers }, `only one${OF_ONE}`)
    await opened
  })

  test('that others were tried before; then one is left to be scored', async () => {
    await services[0].answer(503, 'chat', { times: 1 })
    assertReason(await ask('both'), `retried${OF_ONE}`)
  })

  test('of several that push back, why the one was chosen whose words go on', async () => {
    for (const service of services) await service.answer(503, 'chat', { times: 1 })
    const answer = await ask('both')
    assert.equal(answer.headers['x-infernet-node'], services[0].address)
    assertReason(answer, `least loaded${OF_TWO}`, 503)
  })

  test('errors of backends, whose own headers of that name are not passed on', async () => {
    const headers = { 'X-Routing-Reason': 'made up' }
    for (const service of services) await service.answer(400, 'chat', { times: 1, headers, body: '{}' })
    assertReason(await ask('both'), `least loaded${OF_TWO}`, 400)
    for (const node of nodes) await node.answer(400, 'submit', { times: 1, headers, body: '{}' })
    assertReason(await submit('both'), `least loaded${OF_TWO}`, 400)
  })

  test('but none of the gateway itself does', async () => {
    for (const node of nodes) await node.pushBack('submit', { times: 1 })
    const own = [await ask('unknown'), await submit('both'), await request(`${gateway.url}/v1/models`)]
    assert.deepEqual(
      own.map(({ status, headers }) => [status, headers['x-routing-reason']]),
      [
        [404, undefined],
        [429, undefined],
        [200, undefined],
      ],
    )
  })

  test('to pages of allowed origins as well', async () => {
    const { headers } = await request(`${gateway.url}/v1/models`, { headers: { Origin: 'https://app.example' } })
    assert.match(String(headers['access-control-expose-headers']), /X-Routing-Reason/)
  })
})
