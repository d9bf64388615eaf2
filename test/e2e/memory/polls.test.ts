/** Answers to polls are bounded in memory; what they hold is given back, and nodes that abuse them stop no others. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { post } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually, freePort } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { allIsGivenBack, MB, memoryStats, SMALL_BUDGET } from './support.ts'

/** A node whose answer to a poll stops short of its end. */
async function startStallingNode(t: Cleanup, bytes: number): Promise<{ address: string; stop(): void }> {
  const waiting = new Set<ServerResponse>()
  const server = createServer((incoming, response) => {
    incoming.resume()
    waiting.add(response)
    response.writeHead(200, { 'Content-Type': 'application/json' }).write('{'.padEnd(bytes))
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const stop = (): void => {
    server.close()
    server.closeAllConnections()
  }
  t.after(stop)
  return { address: `127.0.0.1:${port}`, stop }
}

test('nodes whose answers to polls are long and never end hold a bounded part of the memory, while others are polled and serve', async (t) => {
  const good = await startFakeNode({ rateLimit: 0 }, t)
  const stalling = await Promise.all(Array.from({ length: 8 }, () => startStallingNode(t, MB)))
  const nodes = [...stalling.map(({ address }) => address), good.address]
  const gateway = await spawnGateway(t, { nodes, env: SMALL_BUDGET })
  await eventually(async () => (await memoryStats(gateway)).own_bytes >= MB, { what: 'answers in memory' })
  await gateway.ready(1)
  assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
  const { own_bytes, refused } = await memoryStats(gateway)
  // A quarter of the budget, what the oldest has beyond that, and 16 kB of each.
  assert.ok(own_bytes < 3.5 * MB, `${own_bytes} bytes in use`)
  assert.ok(refused.own > 0)
  for (const node of stalling) node.stop()
  await allIsGivenBack(gateway)
})
