/** `/admin/usage`: what callers used of models, by day, also over workers, restarts and kills. */
import assert from 'node:assert/strict'
import { after, suite, test } from 'node:test'
import { assertError } from '../support.ts'
import { askChat, chat } from '../openai/support.ts'
import { connections, startCrew } from '../workers/crew.ts'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }
const OPS = { Authorization: 'Bearer ops-1' }
const service = await startFakeOpenAi({ models: ['a', 'b', 'slow'] }, file)
const KEYS = [
  { name: 'team', key: 'team-1' },
  { name: 'small', key: 'small-1' },
]
const today = (): string => new Date().toISOString().slice(0, 10)

interface Shown {
  day: string
  caller: string
  model: string
  requests: number
  prompt_tokens: number
  completion_tokens: number
  cached_tokens: number
}
interface Page {
  from: string
  to: string
  usage: Shown[]
}

const env = (stateUrl: string): Record<string, string> => ({
  OPS_KEY: 'ops-1',
  KEYS_FILE: 'keys.json',
  STATE_URL: stateUrl,
})
const options = { services: [entryOf(service)], cwdFiles: { 'keys.json': KEYS } }
const by = (key: string): { headers: Record<string, string> } => ({ headers: { Authorization: `Bearer ${key}` } })

async function usageOf({ url }: Gateway, query = '', more: object = {}): Promise<Page> {
  const answer = await request(`${url}/admin/usage${query}`, { headers: OPS, ...more })
  assert.equal(answer.status, 200, answer.text)
  assert.equal(answer.headers['cache-control'], 'no-store')
  return answer.json<Page>()
}

/** Waits until all of these requests are counted, which is just after their answers have ended, and checks what is shown. */
async function shows(gateway: Gateway, rows: readonly Shown[], more: object = {}): Promise<void> {
  const requestsIn = (usage: readonly Shown[]): number => usage.reduce((sum, { requests }) => sum + requests, 0)
  const usage = await eventually(async () => {
    const found = (await usageOf(gateway, '', more)).usage
    return requestsIn(found) >= requestsIn(rows) ? found : undefined
  })
  assert.deepEqual(usage, rows)
}

/** Sends a chat of 7 prompt tokens to its end. */
async function ask(gateway: Gateway, key: string, model: string, more: object = {}): Promise<void> {
  const answer = await askChat(gateway, chat({ pieces: 5, text: 'x' }, { model }), { ...by(key), ...more })
  assert.equal(answer.status, 200, answer.text)
}

const row = (caller: string, model: string, requests: number): Shown => ({
  day: today(),
  caller,
  model,
  requests,
  prompt_tokens: 7 * requests,
  completion_tokens: 5 * requests,
  cached_tokens: 0,
})

suite('/admin/usage', { concurrency: true }, () => {
  test('tells what each caller used of each model, at once, whole and streamed, sorted, and as filtered', async (t) => {
    const gateway = await startGateway(t, { ...options, env: env('memory:') })
    await ask(gateway, 'team-1', 'b')
    await ask(gateway, 'team-1', 'a')
    await ask(gateway, 'small-1', 'a')
    const streamed = chat(
      { pieces: 5, text: 'x' },
      { model: 'a', stream: true, stream_options: { include_usage: true } },
    )
    await (
      await openStream(`${gateway.url}/v1/chat/completions`, { body: streamed, ...by('team-1') })
    ).ended
    // Neither what is refused nor a model that is not there counts.
    assertError(await askChat(gateway, chat({}, { model: 'unknown' }), by('team-1')), 404)
    assertError(await askChat(gateway, chat({}, { model: 'a' }), by('wrong-1')), 401)
    await shows(gateway, [row('name:small', 'a', 1), row('name:team', 'a', 2), row('name:team', 'b', 1)])
    const page = await usageOf(gateway)
    assert.equal(page.to, today())
    assert.equal(Date.parse(page.to) - Date.parse(page.from), 29 * 86_400_000)
    assert.deepEqual((await usageOf(gateway, '?caller=name:team&model=a')).usage, [row('name:team', 'a', 2)])
    assert.deepEqual((await usageOf(gateway, '?caller=name:unknown')).usage, [])
    assert.deepEqual(await usageOf(gateway, '?from=1970-01-01&to=1970-01-02'), {
      from: '1970-01-01',
      to: '1970-01-02',
      usage: [],
    })
    assert.deepEqual((await usageOf(gateway, `?from=${today()}&to=${today()}`)).usage.length, 3)

    const { text } = await request(`${gateway.url}/metrics`, { headers: OPS })
    const series = text.split('\n').filter((line) => line.startsWith('infernet_gateway_usage_'))
    assert.ok(series.includes('infernet_gateway_usage_requests_total{caller="name:team",model="a"} 2'), series.join())
    assert.ok(series.includes('infernet_gateway_usage_tokens_total{caller="name:team",model="a",kind="prompt"} 14'))
    assert.ok(series.includes('infernet_gateway_usage_tokens_total{caller="name:team",model="b",kind="completion"} 5'))
  })

  test('is for operators alone, and refuses a bad question, naming what is allowed', async (t) => {
    const gateway = await startGateway(t, { ...options, env: env('memory:') })
    assertError(await request(`${gateway.url}/admin/usage`), 401)
    assertError(await request(`${gateway.url}/admin/usage`, by('team-1')), 401)
    assertError(await post(`${gateway.url}/admin/usage`, {}, { headers: OPS }), 405)
    const date = /must be a date as YYYY-MM-DD, from 1970-01-01 to 9999-12-31/
    for (const [query, why] of [
      ...['x', '', '2026-2-1', '2026-02-30', '2026-13-01', '1969-12-31', '12026-01-01', '2026-01-01T00:00:00Z'].flatMap(
        (bad) =>
          [
            [`from=${bad}`, date],
            [`to=${bad}`, date],
          ] as const,
      ),
      ['from=2026-01-02&to=2026-01-01', /from must not be after to/],
      ['from=2026-01-01&from=2026-01-01', /from may be given once/],
      ['caller=a&caller=b', /caller may be given once/],
      ['from=2024-01-01&to=2025-02-04', /400 days at most, not 401/],
      ['day=2026-01-01', /allowed are from, to, caller, model/],
      [`model=${'x'.repeat(2001)}`, /model has at most 2000 characters/],
    ] as const) {
      const answer = await request(`${gateway.url}/admin/usage?${query}`, { headers: OPS })
      assert.match(assertError(answer, 400), why, query)
    }
    await usageOf(gateway, '?from=2024-01-01&to=2025-02-03')
    await usageOf(gateway, '?from=9999-12-30&to=9999-12-31')
  })

  test('tells what all workers have counted, whichever is asked, and after their stop', async (t) => {
    const gateway = await startCrew(t, [], env('sqlite:usage.db'), options)
    const clients = connections(t, 4)
    // Workers take new connections in turn: neighbours are at different ones.
    for (const agent of clients) await request(`${gateway.url}/livez`, { agent })
    const counted = (requests: number): Promise<boolean> =>
      eventually(async () => {
        const { text } = await request(`${gateway.url}/metrics`, { headers: OPS })
        return text.includes(`infernet_gateway_usage_requests_total{caller="name:team",model="a"} ${requests}\n`)
      })
    for (const [asked, agent] of clients.entries()) {
      await ask(gateway, 'team-1', 'a', { agent })
      await counted(asked + 1)
      // Each is asked before the worker that has counted it would write it by itself.
      const other = clients[(asked + 1) % clients.length]
      assert.deepEqual((await usageOf(gateway, '', { agent: other })).usage, [row('name:team', 'a', asked + 1)])
    }
    await ask(gateway, 'team-1', 'a', { agent: clients[0] })
    await gateway.stop()
    await gateway.restart({ WORKERS: '1' })
    await gateway.ready(1)
    assert.deepEqual((await usageOf(gateway)).usage, [row('name:team', 'a', 5)])
  })

  test('loses nothing with a stop, and after a kill what was added before', async (t) => {
    const gateway = await startGateway(t, { ...options, env: env('sqlite:usage.db') })
    await ask(gateway, 'team-1', 'a')
    await gateway.stop()
    await gateway.restart()
    await gateway.ready(1)
    await ask(gateway, 'team-1', 'a')
    await shows(gateway, [row('name:team', 'a', 2)])
    await gateway.kill()
    await gateway.restart()
    assert.deepEqual((await usageOf(gateway)).usage, [row('name:team', 'a', 2)])
  })

  test('tells of all gateways that share Redis', { skip: redisMissing }, async (t) => {
    const redis = await startRedis(t)
    const start = (): Promise<Gateway> => startGateway(t, { ...options, env: env(redis.url()) })
    const [one, two] = await Promise.all([start(), start()])
    await ask(one, 'team-1', 'a')
    await ask(two, 'team-1', 'a')
    await shows(one, [row('name:team', 'a', 2)])
    await redis.kill()
    assertError(await request(`${two.url}/admin/usage`, { headers: OPS }), 503)
  })
})
