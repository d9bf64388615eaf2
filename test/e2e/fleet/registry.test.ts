/** Services from an InfiniLM registry, and what InfiniLM's tools ask of a router. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startExplorer } from '../../fleet/sources/fakeExplorer.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi, type FakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { askChat, chat } from '../openai/support.ts'

const file = { after }
const [listed, registered, other] = await Promise.all(
  ['of-file', 'of-registry', 'of-other'].map((model) => startFakeOpenAi({ models: [model] }, file)),
)
const node = await startFakeNode({ rateLimit: 0 }, file)
const entryOf = (name: string, service: FakeOpenAi, more: object = {}): object => ({
  ...{ name, host: '127.0.0.1', port: service.port, url: service.url, status: 'running', is_healthy: true },
  metadata: { type: 'openai-api', parent_service: name },
  ...more,
})
const registry = await startExplorer(file)
const register = (...services: object[]): void => registry.says({ body: { services, total: services.length } })
register(entryOf('svc-server', registered!, { weight: 2 }), entryOf('the-same', listed!), entryOf('listed', other!))
const gateway = await spawnGateway(file, {
  nodes: [node.address],
  services: [{ name: 'listed', url: `${listed!.url}/v1` }],
  env: { REGISTRY_URL: registry.url, DISCOVERY_ALLOW_PRIVATE: 'true', REFRESH_INTERVAL: '0.2' },
})
await gateway.ready(3)

async function services(): Promise<Record<string, unknown>[]> {
  return (await request(`${gateway.url}/services`)).json<{ services: Record<string, unknown>[] }>().services
}

const names = async (): Promise<string> => (await services()).map(({ name }) => name).join()

const becomes = (expected: string): Promise<boolean> =>
  eventually(async () => (await names()) === expected, { withinMs: 20_000, what: expected })

describe('services that a registry lists', () => {
  test('join those of the file; one of the same name, or at the same address, is the file’s', async () => {
    assert.equal(await names(), `${node.address},listed,svc-server`)
    assert.equal((await askChat(gateway, chat({}, { model: 'of-registry' }))).status, 200)
    assert.equal((await askChat(gateway, chat({}, { model: 'of-other' }))).status, 404)
  })

  test('are shown in /services with what InfiniLM’s router shows, as are all others', async () => {
    const [ofNode, ofFile, ofRegistry] = await services()
    const { request_count, response_time, ...others } = ofRegistry!
    assert.deepEqual(others, {
      ...{ name: 'svc-server', url: registered!.url, healthy: true, models: ['of-registry'] },
      ...{ host: '127.0.0.1', port: registered!.port, weight: 2, error_count: 0 },
      metadata: { type: 'openai-api', parent_service: 'svc-server' },
    })
    assert.equal(request_count, 1)
    assert.ok(Number(response_time) > 0)
    assert.deepEqual([ofNode!['metadata'], ofNode!['weight']], [{ type: 'infernet-node' }, 1])
    assert.deepEqual([ofFile!['metadata'], ofFile!['port']], [{ type: 'openai-api' }, listed!.port])
  })

  test('stay while the registry is out of order, and change with its list', async () => {
    registry.says({ status: 503 })
    await registry.answered(2)
    assert.equal(await names(), `${node.address},listed,svc-server`)
    register(entryOf('other-server', other!))
    await becomes(`${node.address},listed,other-server`)
    await gateway.ready(3)
    assert.equal((await askChat(gateway, chat({}, { model: 'of-other' }))).status, 200)
  })

  test('are no longer hidden by an entry of the file that is gone', async () => {
    register(entryOf('other-server', other!), entryOf('the-same', listed!))
    await gateway.setServices([])
    await becomes(`${node.address},other-server,the-same`)
  })
})

test('/status is the same as /health', async () => {
  const [health, status] = await Promise.all(
    ['/health', '/status'].map(async (path) => {
      const { timestamp: _, ...told } = (await request(gateway.url + path)).json<Record<string, unknown>>()
      return told
    }),
  )
  assert.deepEqual(status, health)
  assert.equal(status!['router'], 'running')
})
