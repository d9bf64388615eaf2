import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { infoText } from '../../kit/builders/infos.ts'
import { serve } from '../../kit/serve.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'

const file = { after }

/** What each node answers to `/info`, and the words in which the log must say what is wrong with it. */
const STRANGE: Record<string, { does: (node: LocalFakeNode) => Promise<void>; says: RegExp }> = {
  'a web page': { does: (node) => node.badInfo('html'), says: /not JSON/ },
  'JSON that breaks off': { does: (node) => node.badInfo('notJson'), says: /not JSON/ },
  nothing: { does: (node) => node.badInfo('empty'), says: /not JSON/ },
  null: { does: (node) => node.badInfo('null'), says: /not an object/ },
  'a list': { does: (node) => node.badInfo('list'), says: /not an object/ },
  'an empty object': { does: (node) => node.badInfo('emptyObject'), says: /containers/ },
  'members of other types': { does: (node) => node.badInfo('wrongTypes'), says: /is not a/ },
  'negative pending': { does: (node) => node.badInfo('negativePending'), says: /pending\.offchain/ },
  'pending as text': {
    does: (node) => node.answer(200, 'info', { body: infoText({ pending: { offchain: '0', onchain: 0 } }) }),
    says: /pending\.offchain/,
  },
  'containers by name alone': {
    does: (node) => node.answer(200, 'info', { body: infoText({ containers: ['echo'] }) }),
    says: /container/,
  },
  'three megabytes': {
    does: (node) => node.answer(200, 'info', { body: infoText({ padding: 'x'.repeat(3_000_000) }) }),
    says: /longer than 2000000 bytes/,
  },
  'a quarter of a gigabyte': { does: (node) => node.badInfo('huge'), says: /longer than 2000000 bytes/ },
  'half an answer': { does: (node) => node.break('info', { when: 'body' }), says: /broke off/ },
  'a reset': { does: (node) => node.break('info'), says: /ECONNRESET/ },
  'no HTTP': { does: (node) => node.garbage('info'), says: /HPE_/ },
  'a redirect': { does: (node) => node.badInfo('redirect'), says: /answered 302/ },
  'no content': { does: (node) => node.answer(204, 'info', { body: '' }), says: /answered 204/ },
  'not found': { does: (node) => node.answer(404, 'info'), says: /answered 404/ },
  'an error': { does: (node) => node.answer(500, 'info', { body: infoText() }), says: /answered 500/ },
  'no answer': { does: (node) => node.hang('info'), says: /no answer in time/ },
  'an answer that does not end': {
    does: (node) => node.misbehave({ act: 'drip', seconds: 60 }, 'info'),
    says: /no answer in time/,
  },
  'no connection': { does: (node) => node.refuse(), says: /connection refused/ },
}

const honest = await startFakeNode({}, file)
// Its answer is that of a node, but has more members, and lacks those that routing does not rest on.
const bare = await serve(file, (_request, response) =>
  response.end('{"containers":[{"id":"echo","vendor":1}],"pending":{"other":[]},"chain":null,"status":"healthy"}'),
)
const strange = new Map<string, LocalFakeNode>()
for (const [name, { does }] of Object.entries(STRANGE)) {
  const node = await startFakeNode({}, file)
  await does(node)
  strange.set(name, node)
}
const startedAt = Date.now()
const gateway = await startGateway(file, {
  nodes: [...strange.values(), honest, bare],
  env: { REFRESH_INTERVAL: '30' },
  healthy: 2,
})

describe('a node is unhealthy, and the log says why, whose /info is', () => {
  for (const [name, { says }] of Object.entries(STRANGE)) {
    test(name, async () => {
      const { address } = strange.get(name)!
      const line = await gateway.waitForLog((line) => line.message === 'node down' && line['node'] === address)
      assert.match(String(line['reason']), says)
      assert.equal(line.level, 'warn')
    })
  }
})

test('a poll takes three seconds at most', async () => {
  const { address } = strange.get('no answer')!
  const line = await gateway.waitForLog((line) => line.message === 'node down' && line['node'] === address)
  const seconds = (Date.parse(String(line['time'])) - startedAt) / 1000
  // Much later on a busy machine, but the node itself never ends it.
  assert.ok(seconds > 2.9 && seconds < 30, `${seconds} s after the start`)
})

test('a redirect is not followed', async () => {
  const node = strange.get('a redirect')!
  await gateway.waitForLog((line) => line.message === 'node down' && line['node'] === node.address)
  assert.ok(node.requests.every(({ url }) => url === '/info'))
})

test('only the nodes whose /info is sound are shown as healthy and handed out', async () => {
  const { services } = (await request(`${gateway.url}/services`)).json<{
    services: { name: string; healthy: boolean }[]
  }>()
  const healthy = services.filter((service) => service.healthy).map(({ name }) => name)
  assert.deepEqual(healthy.sort(), [honest.address, bare].sort())
  const handedOut = (await request(`${gateway.url}/api/v1/ips?container=echo&n=100`)).json<string[]>()
  assert.deepEqual(handedOut.sort(), [honest.address, bare].sort())
})
