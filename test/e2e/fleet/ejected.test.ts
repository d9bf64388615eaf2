import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'

const file = { after }
const [only, one, other] = await Promise.all([
  startFakeNode({ rateLimit: 0, containers: ['only'] }, file),
  startFakeNode({ rateLimit: 0, containers: ['shared'] }, file),
  startFakeNode({ rateLimit: 0, containers: ['shared'] }, file),
])
const gateway = await gatewayFor(file, [only, one, other], { REFRESH_INTERVAL: '3600' })
const get = async <T>(path: string): Promise<T> => (await request(gateway.url + path)).json<T>()
const lookUp = (container: string): Promise<string[]> => get(`/api/v1/ips?container=${container}`)

async function eject(node: typeof only, container: string): Promise<void> {
  await node.break('submit')
  const isEjected = async (): Promise<boolean> => {
    await post(`${gateway.url}/api/jobs`, jobOf({}, [container]))
    return !(await statsOf(gateway, node)).healthy
  }
  await eventually(isEjected, { withinMs: 20_000 })
}

describe('a node that is set aside for failing requests while its polls go well', () => {
  test('gives way to others in look-ups', async () => {
    await eject(one, 'shared')
    assert.deepEqual(await lookUp('shared'), [other.address])
  })

  test('is handed out where nobody else runs the container', async () => {
    await eject(only, 'only')
    assert.deepEqual(await lookUp('only'), [only.address])
    assert.equal((await get<{ ip: string }>('/api/v1/ip?container=only')).ip, only.address)
  })

  test('still counts in /info and /resources', async () => {
    const { containers } = await get<{ containers: { id: string }[] }>('/info')
    assert.deepEqual(containers.map(({ id }) => id).sort(), ['only', 'shared'])
    assert.deepEqual(Object.keys(await get('/resources')).sort(), ['only', 'shared'])
  })

  test('is not shown as healthy', async () => {
    assert.equal((await get<{ healthy_services: string }>('/health')).healthy_services, '1/3')
  })
})
