import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unsupportedIn } from '../../src/jobs/unsupported.ts'
import { ListedNodes, startFleet } from '../kit/builders/fleets.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { eventually, freePort } from '../kit/wait.ts'

test('a container is unsupported only where nodes are listed and each has told what it runs', async (t) => {
  const node = await startFakeNode({ containers: ['a', { id: 'inner', external: false }], rateLimit: 0 }, t)
  const list = new ListedNodes()
  const fleet = await startFleet(t, [list], { refreshIntervalSeconds: 1 })
  assert.equal(unsupportedIn(['other'], fleet), undefined, 'no node is listed')

  list.list(node.address)
  assert.equal(unsupportedIn(['other'], fleet), undefined, 'it has not been polled')
  await eventually(() => fleet.healthy().length === 1, { withinMs: 10_000 })
  assert.equal(unsupportedIn(['other'], fleet), 'other')
  assert.equal(unsupportedIn(['a', 'inner'], fleet), undefined)
  assert.equal(unsupportedIn(['a', 'other', 'more'], fleet), 'other')

  const dead = `127.0.0.1:${await freePort()}`
  list.list(node.address, dead)
  await eventually(() => [...fleet.nodes.values()].every(({ isKnown }) => isKnown), { withinMs: 10_000 })
  assert.equal(unsupportedIn(['other'], fleet), undefined, 'the other may run it')
  list.list(node.address)
  assert.equal(unsupportedIn(['other'], fleet), 'other')

  const wentDown = new Promise((resolve) => fleet.once('node:down', resolve))
  await node.refuse()
  await wentDown
  assert.equal(unsupportedIn(['a'], fleet), undefined, 'it will be back')
  assert.equal(unsupportedIn(['other'], fleet), 'other')
})
