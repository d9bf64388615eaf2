import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { ListedNodes, newFleet, setContainers, trackedNode, trackedService } from '../kit/builders/fleets.ts'
import { entryOf, gatewayFor, startGateway } from '../kit/builders/gateways.ts'
import { containerOf, infoOf, infoText, readInfo } from '../kit/builders/infos.ts'
import { aJob, finishedEntry, jobOf, runningEntry, statusReport } from '../kit/builders/jobs.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../kit/fakeOpenAi/index.ts'
import { post, request } from '../kit/http.ts'

describe('the builder of jobs', () => {
  test('makes submissions that a node takes', async (t) => {
    const node = await startFakeNode({ containers: ['echo', 'other'], rateLimit: 0 }, t)
    for (const body of [jobOf(), jobOf({ n: 1 }, ['other'])])
      assert.equal((await post(`${node.url}/api/jobs`, body)).status, 200)
  })

  test('makes entries as a node writes them', () => {
    assert.deepEqual(JSON.parse(runningEntry('a')), {
      id: 'a',
      intermediate_results: [],
      result: null,
      status: 'running',
    })
    const { status, result } = JSON.parse(finishedEntry('a', '1')) as { status: string; result: object }
    assert.deepEqual([status, result], ['success', { container: 'echo', output: 1 }])
  })

  test('makes records whose node knows them by the same id, unless it is told another', () => {
    assert.notEqual(aJob().id, aJob().id)
    assert.equal(aJob({ id: 'a' }).nodeJobId, 'a')
    assert.equal(aJob({ id: 'a', nodeJobId: 'b' }).nodeJobId, 'b')
    assert.equal(statusReport('a').status, 'success')
  })
})

test('the builder of infos makes what a node says and what the gateway reads of it', () => {
  assert.deepEqual(readInfo(infoOf()), infoOf())
  const containers = [containerOf({ id: 'inner', external: false })]
  assert.deepEqual(readInfo(JSON.parse(infoText({ containers }))), infoOf({ containers }))
})

describe('the builder of fleets', () => {
  test('makes nodes and services that nobody polls', () => {
    const node = trackedNode('10.0.0.1:4000')
    setContainers(node, [containerOf()])
    assert.deepEqual([...node.containers.keys()], ['echo'])
    assert.equal(trackedService(['m'], { apiKey: 'k' }).spec.apiKey, 'k')
  })

  test('makes fleets whose list is in the hands of the test', async (t) => {
    const source = new ListedNodes('127.0.0.1:1')
    const fleet = newFleet(t, [source])
    await fleet.start()
    const added = once(fleet, 'node:added')
    source.list('127.0.0.1:1', '127.0.0.1:2')
    await added
    assert.deepEqual(
      [...fleet.nodes.values()].map(({ name }) => name),
      ['127.0.0.1:1', '127.0.0.1:2'],
    )
  })
})

test('the builder of gateways waits until all backends are healthy, and sets no limit', async (t) => {
  const [node, service] = await Promise.all([startFakeNode({ rateLimit: 0 }, t), startFakeOpenAi({ models: ['m'] }, t)])
  const both = await startGateway(t, { nodes: [node], services: [entryOf(service)] })
  assert.match((await request(`${both.url}/health`)).text, /"2\/2"/)
  const alone = await gatewayFor(t, [node])
  for (let n = 0; n < 30; n++) assert.equal((await request(`${alone.url}/api/v1/ip`)).status, 200)
})
