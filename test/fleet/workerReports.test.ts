import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from '../../src/fleet/address.ts'
import { WorkerReports } from '../../src/fleet/workerReports.ts'
import { ListedNodes, startFleet } from '../kit/builders/fleets.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { eventually } from '../kit/wait.ts'

const LOADING = { notReady: 'loading', pending: undefined }
const READY = { notReady: undefined, pending: 0 }

test('a worker that reports that it takes no work gets none until it reports otherwise, falls silent, or is listed anew', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const list = new ListedNodes(node.address)
  const fleet = await startFleet(t, [list])
  const reports = new WorkerReports(fleet)
  t.after(() => reports.stop())
  await eventually(() => fleet.healthy().length === 1, { withinMs: 10_000 })
  const told: string[] = []
  fleet.on('node:down', (_node, reason) => told.push(`down ${reason}`))
  fleet.on('node:up', () => told.push('up'))
  const [worker] = fleet.healthy()
  t.mock.timers.enable({ apis: ['setTimeout'] })

  reports.take(worker!, LOADING)
  reports.take(worker!, LOADING)
  assert.deepEqual(fleet.healthy(), [])
  reports.take(worker!, READY)
  assert.deepEqual(fleet.healthy(), [worker])
  assert.deepEqual(told, ['down loading', 'up'])

  reports.take(worker!, LOADING)
  t.mock.timers.tick(59_000)
  reports.take(worker!, LOADING)
  t.mock.timers.tick(59_000)
  assert.deepEqual(fleet.healthy(), [])
  t.mock.timers.tick(1000)
  assert.deepEqual(fleet.healthy(), [worker])

  reports.take(worker!, LOADING)
  list.list()
  list.list(node.address)
  assert.equal(fleet.healthy()[0]?.notReady, undefined)
})

test('a report is of the backends at its address, whatever their path, name and kind', async (t) => {
  const service = (name: string, url: string) => {
    const address = parseAddress(url)
    return { ...address, kind: 'openai' as const, name, key: `openai:${name}@${address.key}` }
  }
  const list = new ListedNodes(
    'http://10.0.0.1:8000/',
    service('a@b', 'http://10.0.0.2:8000/base'),
    service('other', 'http://10.0.0.2:8001'),
  )
  const fleet = await startFleet(t, [list])
  const reports = new WorkerReports(fleet)
  const namesAt = (url: string): string[] => reports.nodesAt(parseAddress(url)).map(({ name }) => name)
  assert.deepEqual(namesAt('http://10.0.0.1:8000'), ['http://10.0.0.1:8000/'])
  assert.deepEqual(namesAt('10.0.0.2:8000'), ['a@b'])
  assert.deepEqual(namesAt('http://10.0.0.2:8000/base/'), ['a@b'])
  for (const url of ['http://10.0.0.2:8000/ba', 'https://10.0.0.2:8000', '10.0.0.2:800', '10.0.0.3:8000']) {
    assert.deepEqual(namesAt(url), [], url)
  }
})
