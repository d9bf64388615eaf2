import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway, type Gateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

describe('before the first poll of any node has ended', () => {
  test('requests wait for it', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.late(0.8, 'info')
    const gateway = await spawnGateway(t, { nodes: [node.address] })
    const [submitted, streamed, batch, info, looked] = await Promise.all([
      post(`${gateway.url}/api/jobs`, jobOf()),
      openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf() }),
      post(`${gateway.url}/api/jobs/batch`, [jobOf()]),
      request(`${gateway.url}/info`),
      request(`${gateway.url}/api/v1/ip`),
    ])
    for (const { status } of [submitted, streamed, batch, info, looked]) assert.equal(status, 200)
    assert.match(info.text, /"echo"/)
  })
})

describe('nobody waits', { concurrency: 2 }, () => {
  test('for other nodes, once one is healthy', async (t) => {
    const [node, silent] = await Promise.all([startFakeNode({ rateLimit: 0 }, t), startFakeNode({ rateLimit: 0 }, t)])
    await silent.hang('info')
    const gateway = await spawnGateway(t, { nodes: [silent.address, node.address] })
    const answer = await post(`${gateway.url}/api/jobs`, jobOf())
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['x-infernet-node'], node.address)
  })

  test('where there is no node to wait for', async (t) => {
    const silent = await startFakeNode({ rateLimit: 0 }, t)
    await silent.hang('info')
    const [waiting, empty] = await Promise.all([spawnGateway(t, { nodes: [silent.address] }), spawnGateway(t)])
    // The list itself has to be read first.
    await empty.waitForLog((line) => line.message === 'addresses file read')
    await waiting.restart()
    const answers: string[] = []
    const ask = async (name: string, { url }: Gateway): Promise<void> => {
      assertError(await post(`${url}/api/jobs`, jobOf()), 503)
      answers.push(name)
    }
    // The one that waits for its node for three seconds answers after the one that waits for none.
    await Promise.all([ask('waits', waiting), ask('does not wait', empty)])
    assert.deepEqual(answers, ['does not wait', 'waits'])
  })
})
