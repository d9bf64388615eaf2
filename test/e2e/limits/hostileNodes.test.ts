import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { gatewayFor, startGateway } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { Cleanup } from '../../kit/wait.ts'

/** A node at which `/info` and `/resources` are as given. */
async function startNode(t: Cleanup, info: string, resources = '{}'): Promise<{ address: string }> {
  const server = createServer((incoming, response) => {
    response.end(incoming.url?.startsWith('/resources') === true ? resources : info)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}

const infoOf = (count: number, image: string): string =>
  JSON.stringify({ containers: Array.from({ length: count }, (_, n) => ({ id: `container-${n}`, image })) })

test('answers to /resources of millions of values, for model after model, do not exhaust the memory', async (t) => {
  const resources = (bytes: number): string => `{"echo":{"x":[${'{},'.repeat(bytes / 3)}{}]}}`
  const nodes = await Promise.all([5e6, 9e5, 9e5].map((bytes) => startNode(t, infoOf(1, ''), resources(bytes))))
  const gateway = await gatewayFor(t, nodes, { NODE_OPTIONS: '--max-old-space-size=96', LOG_LEVEL: 'info' })
  for (let model = 0; model < 60; model += 4) {
    const paths = ['/resources', '/api/v1/resources', '/resources', '/api/v1/resources']
    const asked = paths.map((path, n) => request(`${gateway.url}${path}?model_id=m${model + n}`))
    for (const answer of await Promise.all(asked)) assert.equal(answer.status, 200, answer.text.slice(0, 200))
  }
  const told = (await request(`${gateway.url}/api/v1/resources?model_id=last`)).json<object>()
  assert.deepEqual(
    Object.keys(told).sort(),
    nodes
      .slice(1)
      .map(({ address }) => address)
      .sort(),
    'what is too long to be kept is left out, the others are not',
  )
})

test('two nodes that disagree on every image cost some lines of the log, of some length', async (t) => {
  const nodes = await Promise.all(['one', 'other'].map((name) => startNode(t, infoOf(1000, name.repeat(200)))))
  const gateway = await gatewayFor(t, nodes)
  const line = await gateway.waitForLog(({ message }) => /^more container ids/.test(message ?? ''))
  assert.equal(line['more'], 990)
  const told = gateway.logs.filter(({ message }) => /^one container id/.test(message ?? ''))
  assert.equal(told.length, 10)
  for (const each of gateway.output.split('\n')) assert.ok(each.length <= 20_000)
  const stats = (await request(`${gateway.url}/stats`)).json<{ image_conflicts: unknown[] }>()
  assert.equal(stats.image_conflicts.length, 100)
})

test('labels of /metrics are bounded in number and length', async (t) => {
  const models = Array.from({ length: 230 }, (_, n) => `${n}-${'x'.repeat(240)}`)
  const service = await startFakeOpenAi({ models }, t)
  const gateway = await startGateway(t, {
    services: [{ name: 's'.repeat(150), url: service.url }],
  })
  for (const model of models) {
    const answer = await post(`${gateway.url}/v1/chat/completions`, { model, messages: [] })
    assert.equal(answer.status, 200, answer.text)
  }
  const { text } = await request(`${gateway.url}/metrics`)
  const values = [...text.matchAll(/(model|node)="([^"]*)"/g)]
  const known = new Set(values.filter(([, label]) => label === 'model').map(([, , value]) => value))
  assert.equal(known.size, 201)
  for (const [, label, value] of values) assert.ok(value!.length <= 110, `${label} ${value}`)
})
