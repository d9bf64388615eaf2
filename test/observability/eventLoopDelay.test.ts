import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { addEventLoopDelay } from '../../src/observability/eventLoopDelay.ts'
import { eventually } from '../kit/wait.ts'

const NAME = 'infernet_gateway_event_loop_delay_seconds'

test('a stall of the event loop is counted by its length, and stays counted however often it is read', async () => {
  const registry = new Registry()
  addEventLoopDelay(registry)
  await eventually(async () => (await samplesUpTo(registry, '+Inf')) > 0)

  stall(150)
  await eventually(async () => (await stalls(registry)) > 0)

  const seen = await stalls(registry)
  assert.ok((await stalls(registry)) >= seen)
  assert.ok((await samplesUpTo(registry, '+Inf')) > seen)
  assert.match(await registry.metrics(), new RegExp(`^${NAME}_sum 0\\.[1-9]|^${NAME}_sum [1-9]`, 'm'))
})

/** Samples that were more than 0.1 s late. */
async function stalls(registry: Registry): Promise<number> {
  return (await samplesUpTo(registry, '+Inf')) - (await samplesUpTo(registry, '0.1'))
}

async function samplesUpTo(registry: Registry, le: string): Promise<number> {
  const text = await registry.metrics()
  const line = text.split('\n').find((each) => each.startsWith(`${NAME}_bucket{le="${le}"} `))
  assert.ok(line !== undefined, text)
  return Number(line.split(' ')[1])
}

function stall(ms: number): void {
  const endsAt = performance.now() + ms
  while (performance.now() < endsAt);
}
