import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { serve } from '../../kit/serve.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const SILENT = 600
const file = { after }
const silent = await serve(file, () => undefined)
const [good, added] = await Promise.all([
  startFakeNode({ rateLimit: 0, containers: ['old'] }, file),
  startFakeNode({ rateLimit: 0, containers: ['new'] }, file),
])
const nodes = [...Array.from({ length: SILENT }, (_, n) => `http://${silent}/${n}`), good.address]
const gateway = await spawnGateway(file, { nodes, env: { REFRESH_INTERVAL: '1', RATELIMIT_REQS_PER_MIN: '0' } })

test('a node that answers is found soon behind hundreds that say nothing', async () => {
  await gateway.ready(1, 20_000)
})

test('a node that was found behind silent ones is polled at the usual pace', async () => {
  const polls = good.seen('info').length
  await eventually(() => good.seen('info').length >= polls + 5, { withinMs: 20_000, what: 'five more polls' })
})

test('a node that is added among silent ones is used soon', async () => {
  await gateway.setNodes([...nodes, added.address])
  const isUsed = async (): Promise<boolean> =>
    (await request(`${gateway.url}/api/v1/ips?container=new`)).json<string[]>().length === 1
  await eventually(isUsed, { withinMs: 20_000, what: 'the new node in look-ups' })
})

test('a node that goes away among silent ones is noticed soon', async () => {
  await good.refuse()
  const isDown = async (): Promise<boolean> => (await request(`${gateway.url}/api/v1/ips?container=old`)).text === '[]'
  await eventually(isDown, { withinMs: 20_000, what: 'the dead node down' })
  assert.equal((await request(`${gateway.url}/api/v1/ips?container=new`)).json<string[]>().length, 1)
})
