/** What was acknowledged is kept: across kill -9, in one file that belongs to one gateway. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { within } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { assertEchoed, ended, listed, runsOn, startNodes, submitMany, submitted } from './support.ts'

const SQLITE = { STATE_URL: 'sqlite:data/gateway.db' }

/** Starts a gateway that has to refuse to; returns what it says. */
async function refusal(t: Cleanup, options: Parameters<typeof spawnGateway>[1]): Promise<string> {
  const gateway = await spawnGateway(t, { ...options, env: { ...SQLITE, LOG_LEVEL: 'info' }, listening: false })
  const { code } = await within(gateway.exited, 30_000, () => 'the end of a gateway that cannot start')
  assert.equal(code, 1)
  const lines = gateway.output.trim().split('\n')
  assert.equal(lines.length, 1, gateway.output)
  return lines[0]!
}

describe('durability', { concurrency: 3 }, () => {
  test('jobs whose gateway is killed right after it accepted them all finish under their ids', async (t) => {
    const nodes = await startNodes(t, 2, { concurrency: 10 })
    const gateway = await gatewayFor(t, nodes, SQLITE)
    const data = (n: number): object => ({ n, seconds: 0.5 })
    const ids = await submitMany(gateway, 50, data, { from: '127.0.0.5' })
    await gateway.kill()
    await gateway.restart()
    const entries = await ended(gateway, ids, { from: '127.0.0.5' })
    entries.forEach((entry, n) => {
      assert.equal(entry.id, ids[n])
      assertEchoed(entry, data(n))
    })
    assert.deepEqual((await listed(gateway, '', { from: '127.0.0.5' })).toSorted(), ids.toSorted())
    assert.deepEqual(await listed(gateway, '', { from: '127.0.0.6' }), [])
    assert.equal(await runsOn(nodes), 50)
    // Finished ones survive as well.
    await gateway.kill()
    await gateway.restart()
    assert.equal((await ended(gateway, ids, { from: '127.0.0.5' })).length, 50)
  })

  test('jobs that were lost while their gateway was down run again', async (t) => {
    const nodes = await startNodes(t, 2, { concurrency: 10 })
    const gateway = await gatewayFor(t, nodes, SQLITE)
    const ids = await submitMany(gateway, 10, (n) => ({ n, seconds: 3 }))
    await gateway.kill()
    for (const node of nodes) await node.forget()
    await gateway.restart()
    const entries = await ended(gateway, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 3 }))
    assert.equal(await runsOn(nodes), 20)
  })

  test('jobs of a node that left the list meanwhile are followed to their end there', async (t) => {
    const [leaving] = await startNodes(t, 1, { concurrency: 10 })
    const [staying] = await startNodes(t, 1)
    const gateway = await gatewayFor(t, [leaving!], SQLITE)
    const ids = await submitMany(gateway, 5, (n) => ({ n, seconds: 2 }))
    await gateway.kill()
    await gateway.setNodes([staying!.address])
    await gateway.restart()
    const entries = await ended(gateway, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 2 }))
    assert.deepEqual([await runsOn([leaving!]), await runsOn([staying!])], [5, 0])
  })

  test('the file belongs to one gateway: a second one refuses to start', async (t) => {
    const gateway = await gatewayFor(t, await startNodes(t, 1), SQLITE)
    const line = await refusal(t, { cwd: gateway.cwd })
    assert.match(line, /STATE_URL/)
    assert.match(line, /gateway\.db/)
    // And does no harm to the first.
    const second = await spawnGateway(t, { cwd: gateway.cwd, env: SQLITE, listening: false })
    await second.exited
    await gateway.setNodes((await startNodes(t, 1)).map(({ address }) => address))
    await gateway.ready(1)
    assertEchoed((await ended(gateway, [await submitted(gateway, { n: 1 })]))[0], { n: 1 })
  })

  test('a file that is no ledger is refused with a line that names it', async (t) => {
    const line = await refusal(t, {
      env: SQLITE,
      cwdFiles: { 'data/gateway.db': 'These are not the bytes.'.repeat(500) },
    })
    assert.match(line, /STATE_URL/)
    assert.match(line, /gateway\.db/)
  })
})

describe('jobs across restarts', () => {
  test('a stop with SIGTERM loses nothing either', async (t) => {
    const nodes = await startNodes(t, 1, { concurrency: 10 })
    const gateway: Gateway = await gatewayFor(t, nodes, SQLITE)
    const ids = await submitMany(gateway, 5, (n) => ({ n, seconds: 2 }))
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null })
    await gateway.restart()
    const entries = await ended(gateway, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 2 }))
    assert.equal(await runsOn(nodes), 5)
  })
})
