import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { jobOf } from '../kit/builders/jobs.ts'
import { spawnGateway } from '../kit/gateway.ts'
import { post, request } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../kit/fakeOpenAi/index.ts'
import { eventually, tempDir } from '../kit/wait.ts'

test('a gateway of its own process serves the nodes and services given, and ends at SIGTERM', async (t) => {
  const node = await startFakeNode({}, t)
  const service = await startFakeOpenAi({}, t)
  const gateway = await spawnGateway(t, {
    nodes: [node.address],
    ipsLines: ['# a comment'],
    services: [{ name: 'one', url: service.url }],
  })
  await gateway.ready(2)
  assert.equal((await request(`${gateway.url}/livez`)).status, 200)
  assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
  assert.match(await readFile(join(gateway.cwd, 'ips.txt'), 'utf8'), /# a comment/)
  assert.deepEqual(await gateway.stop(), { code: 0, signal: null })
})

test('a gateway starts again on the same port, with the state of its directory', async (t) => {
  const node = await startFakeNode({}, t)
  const cwd = await tempDir(t)
  const gateway = await spawnGateway(t, { nodes: [node.address], cwd, env: { STATE_URL: 'sqlite:data/jobs.db' } })
  await gateway.ready(1)
  const { id } = (await post(`${gateway.url}/api/jobs`, jobOf())).json<{ id: string }>()
  const { port } = gateway
  assert.deepEqual(await gateway.kill(), { code: null, signal: 'SIGKILL' })
  await gateway.restart()
  assert.equal(gateway.port, port)
  const known = await eventually(async () => {
    const jobs = (await request(`${gateway.url}/api/jobs`)).json<string[]>()
    return jobs.length > 0 && jobs
  })
  assert.deepEqual(known, [id])
})

test('a gateway that does not start is an error that shows what it wrote', async (t) => {
  await assert.rejects(spawnGateway(t, { env: { PORT: 'nonsense' } }), /PORT/)
})
