import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { ServiceTally } from '../../src/observability/serviceTally.ts'
import { servedBy } from '../kit/builders/served.ts'

/** The series of a registry, without those of buckets and without help. */
async function seriesOf(registry: Registry): Promise<string[]> {
  const text = await registry.metrics()
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.includes('_bucket'))
}

test('tokens, warm requests and times to the first token count by service and model, also between two scrapes', async () => {
  const registry = new Registry()
  const tally = new ServiceTally(registry)
  const usage = { promptTokens: 10, completionTokens: 1, cachedTokens: 8 }
  tally.count('m', servedBy('a', { usage, isWarm: true, firstTokenSeconds: 0.25 }))
  tally.count('m', servedBy('a', { usage, isWarm: false }))
  const first = [
    'infernet_gateway_service_first_token_seconds_sum{service="a",model="m"} 0.25',
    'infernet_gateway_service_first_token_seconds_count{service="a",model="m"} 1',
    'infernet_gateway_service_prompt_tokens_total{service="a",model="m",cached="true"} 16',
    'infernet_gateway_service_prompt_tokens_total{service="a",model="m",cached="false"} 4',
    'infernet_gateway_service_prompts_total{service="a",model="m",warm="true"} 1',
    'infernet_gateway_service_prompts_total{service="a",model="m",warm="false"} 1',
  ]
  assert.deepEqual(await seriesOf(registry), first)
  assert.deepEqual(await seriesOf(registry), first)
  tally.count('m', servedBy('a', { usage }))
  assert.equal((await seriesOf(registry))[2], first[2]!.replace('16', '24'))
})

test('what nothing is known of has no series', async () => {
  const registry = new Registry()
  const tally = new ServiceTally(registry)
  tally.count('m', servedBy('a', { usage: { promptTokens: 10, completionTokens: 1 } }))
  assert.deepEqual(await seriesOf(registry), [])
  tally.count('m', servedBy('a', { isWarm: true }))
  assert.equal((await seriesOf(registry)).length, 2)
})

test('pairs beyond two hundred, and names too long for a label, share their series', async () => {
  const registry = new Registry()
  const tally = new ServiceTally(registry)
  for (let n = 0; n < 210; n++) tally.count('m', servedBy(`service ${n}`, { isWarm: true }))
  const warm = (await seriesOf(registry)).filter((line) => line.includes('warm="true"'))
  assert.equal(warm.length, 201)
  assert.ok(warm.includes('infernet_gateway_service_prompts_total{service="other",model="other",warm="true"} 10'))

  const other = new Registry()
  const another = new ServiceTally(other)
  for (const end of ['a', 'b']) another.count('m', servedBy('x'.repeat(200) + end, { firstTokenSeconds: 1 }))
  const name = `${'x'.repeat(100)}…`
  assert.deepEqual((await seriesOf(other)).slice(1), [
    `infernet_gateway_service_first_token_seconds_count{service="${name}",model="m"} 2`,
  ])
})
