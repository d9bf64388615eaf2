import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const RARE_POLLS = { REFRESH_INTERVAL: '3600' }

async function offchain(gateway: { url: string }): Promise<number> {
  const info = (await request(`${gateway.url}/info`)).json<{ pending: { offchain: number } }>()
  return info.pending.offchain
}

test('/info is a second old at the most where the nodes answer at once', async (t) => {
  const nodes = await Promise.all([1, 2].map(() => startFakeNode({ rateLimit: 0 }, t)))
  const gateway = await gatewayFor(t, nodes, RARE_POLLS)
  for (const node of nodes) await node.set({ shownPending: { offchain: 4 } })
  await eventually(async () => (await offchain(gateway)) === 8, { withinMs: 10_000 })
})

test('/info costs a node one poll a second at the most, however many ask', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const gateway = await gatewayFor(t, [node], RARE_POLLS)
  const endAt = performance.now() + 4000
  const ask = async (): Promise<void> => {
    while (performance.now() < endAt) await offchain(gateway)
  }
  await Promise.all(Array.from({ length: 20 }, ask))
  const times = node.seen('info').map(({ at }) => at)
  assert.ok(times.length >= 3, `${times.length} polls`)
  times.slice(1).forEach((at, i) => assert.ok(at - times[i]! > 900, `${at - times[i]!} ms between two polls`))
})

test('/info leaves a node alone that has few calls left, and tells what is known', async (t) => {
  const node = await startFakeNode({ rateLimit: { info: 4 } }, t)
  const gateway = await gatewayFor(t, [node], RARE_POLLS)
  await node.set({ shownPending: { offchain: 4 } })
  // The first poll left three calls; the second, which shows the change, leaves two.
  await eventually(async () => (await offchain(gateway)) === 4, { withinMs: 10_000 })
  await node.set({ shownPending: { offchain: 5 } })
  await new Promise((resolve) => setTimeout(resolve, 1200))
  assert.equal(await offchain(gateway), 4)
  assert.equal(node.seen('info').length, 2)
})
