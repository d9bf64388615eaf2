/** KEYS_FILE, as two workers follow it, which share one port and their limits. */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { writeFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { startCrew } from '../workers/crew.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { entryOf } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { openStream, post, request, type Answer } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0, concurrency: 100 }, file)
const service = await startFakeOpenAi({ models: ['m'] }, file)
const FIRST = [
  { name: 'team', key: 'team-old-1' },
  { name: 'team', key_sha256: hash('sha256', 'team-new-1', 'hex') },
  { name: 'small', key: 'small-1', requests_per_min: 5, max_jobs: 2 },
  { name: 'gone', key: 'gone-1' },
]
const gateway = await startCrew(
  file,
  [node],
  {
    KEYS_FILE: 'keys.json',
    API_KEYS: 'plain-1,team-old-1',
    PROXY_RATELIMIT_REQS_PER_MIN: '1000',
  },
  {
    cwdFiles: { 'keys.json': FIRST },
    services: [entryOf(service)],
  },
)

const keysFile = join(gateway.cwd, 'keys.json')
const lines = (message: string): number => gateway.logs.filter((line) => line.message === message).length

/** Writes the file, and waits until both workers have read it. */
async function setKeys(content: unknown, told = 'keys file read'): Promise<void> {
  const before = lines(told)
  await writeFile(keysFile, typeof content === 'string' ? content : JSON.stringify(content))
  await eventually(() => lines(told) >= before + 2)
}

const submit = (key: string, data: object = {}): Promise<Answer> =>
  post(`${gateway.url}/api/jobs`, jobOf(data), { headers: { Authorization: `Bearer ${key}` } })

const idsOf = async (key: string): Promise<string[]> =>
  (await request(`${gateway.url}/api/jobs`, { headers: { 'X-API-Key': key } })).json<string[]>()

/** Statuses of requests that come to both workers in turn. */
const statuses = (key: string, count = 4): Promise<number[]> =>
  Promise.all(
    Array.from(
      { length: count },
      async () => (await request(`${gateway.url}/info`, { headers: { 'api-key': key } })).status,
    ),
  )

describe('keys of a file', () => {
  test('stand for their name: both keys of one see the same jobs, and others do not', async () => {
    const { id } = (await submit('team-old-1')).json<{ id: string }>()
    assert.ok((await idsOf('team-new-1')).includes(id))
    assert.deepEqual(await idsOf('plain-1'), [])
    for (const key of ['', 'team', 'name:team', FIRST[1]!.key_sha256!]) assertError(await submit(key), 401)
    assert.equal((await submit('plain-1')).status, 200)
  })

  test('have limits of their name, over all workers, instead of those of the settings', async () => {
    const running = await Promise.all([1, 2, 3].map(() => submit('small-1', { seconds: 60 })))
    assert.deepEqual(running.map(({ status }) => status).sort(), [200, 200, 429])
    const tooMany = running.find(({ status }) => status === 429)!
    assert.equal(assertError(tooMany, 429), 'Too many unfinished jobs: max_jobs of the key allows 2')
    const { params } = tooMany.json<{ params: object }>()
    assert.deepEqual(params, { setting: 'max_jobs of the key', limit: 2, unfinished: 2 })
    const batch = await post(`${gateway.url}/api/jobs/batch`, [jobOf(), jobOf(), jobOf()], {
      headers: { 'X-API-Key': 'small-1' },
    })
    assert.match(assertError(batch, 413), /max_jobs of the key is 2/)
    const results = await Promise.all(Array.from({ length: 8 }, () => submit('small-1')))
    const limited = results.filter(
      ({ headers }) => headers['ratelimit-limit'] === '5' && headers['ratelimit-remaining'] === '0',
    )
    assert.ok(limited.length > 0)
    const refused = await submit('small-1')
    assert.equal(assertError(refused, 429), 'Too many requests: requests_per_min of the key allows 5 a minute')
    assert.deepEqual(refused.json<{ params: object }>().params, {
      ...{ setting: 'requests_per_min of the key', limit: 5, window_seconds: 60 },
    })
    assert.ok((await statuses('team-new-1', 8)).every((status) => status === 200))
  })

  test('are counted by name, with their tokens, and never shown', async () => {
    const answer = await post(
      `${gateway.url}/v1/chat/completions`,
      { model: 'm', messages: [{ role: 'user', content: 'a b' }] },
      { headers: { Authorization: 'Bearer gone-1' } },
    )
    const { usage } = answer.json<{ usage: { prompt_tokens: number; completion_tokens: number } }>()
    const text = await eventually(async () => {
      const { text } = await request(`${gateway.url}/metrics`)
      return text.includes('infernet_gateway_key_tokens_total{key="gone"') ? text : undefined
    })
    assert.ok(text.includes('infernet_gateway_key_requests_total{key="gone"} 1\n'))
    assert.ok(text.includes(`infernet_gateway_key_tokens_total{key="gone",kind="prompt"} ${usage.prompt_tokens}\n`))
    assert.ok(
      text.includes(`infernet_gateway_key_tokens_total{key="gone",kind="completion"} ${usage.completion_tokens}\n`),
    )
    assert.ok(!text.includes('-1"'))
  })

  test('that are removed are refused at once, while their running streams go on', async () => {
    const headers = { Authorization: 'Bearer gone-1' }
    const body = jobOf({ seconds: 2 })
    const stream = await openStream(`${gateway.url}/api/jobs/stream`, { method: 'POST', body, headers })
    await setKeys(FIRST.slice(0, 3))
    assert.deepEqual(new Set(await statuses('gone-1')), new Set([401]))
    await stream.ended
    assert.deepEqual(new Set(await statuses('team-new-1')), new Set([200]))
  })

  test('that are bad are skipped and told of by their place, without a key', async () => {
    await setKeys([
      { name: 'bad', key: 'hush-2', max_job: 1 },
      { name: 'team', key: 'team-3' },
    ])
    assert.deepEqual(new Set(await statuses('team-3')), new Set([200]))
    const line = await gateway.waitForLog(({ message }) => message === 'bad entry in the keys file')
    assert.deepEqual([line['line'], line['entry']], [1, 'bad'])
    const { bad_lines: told } = (await request(`${gateway.url}/stats`)).json<{ bad_lines: object[] }>()
    const reason =
      'unknown member; allowed: name, key, key_sha256, requests_per_min, tokens_per_min, max_jobs, weight, priority, expires'
    assert.deepEqual(told, [{ setting: 'KEYS_FILE', line: 1, entry: 'bad', reason }])
    // What is in API_KEYS as well is valid still, as another caller.
    assert.deepEqual(await idsOf('team-old-1'), [])
  })

  test('stay when the file can no longer be used', async () => {
    const told = 'keys file cannot be used, keeping the last keys'
    await setKeys('[{"name":"team","key":"hush-2"},', told)
    await setKeys('{}', told)
    const before = lines(told)
    await rm(keysFile)
    await eventually(() => lines(told) >= before + 2)
    assert.deepEqual(new Set(await statuses('team-3')), new Set([200]))
  })

  test('expire at their time, without a change of the file, and are reread on SIGHUP', async () => {
    const expires = new Date(Date.now() + 3000).toISOString()
    await setKeys([{ name: 'team', key: 'short-4', expires }])
    await eventually(async () => (await statuses('short-4')).every((status) => status === 401))
    assert.ok(Date.now() >= Date.parse(expires))
    const before = lines('keys file read')
    gateway.signal('SIGHUP')
    await eventually(() => lines('keys file read') >= before + 2)
  })

  test('may all be taken away: an empty list refuses everybody but the keys of API_KEYS', async () => {
    await setKeys([])
    assert.deepEqual(new Set(await statuses('team-3')), new Set([401]))
    assert.deepEqual(new Set(await statuses('plain-1')), new Set([200]))
    assert.ok(!/(team|small|gone|plain|short)-(old-|new-)?\d|hush/.test(gateway.output))
  })
})

test('a keys file that is missing or is no list stops the start with one line', async (t) => {
  for (const [files, reason] of [
    [{}, 'there is no such file'],
    [{ 'keys.json': '{"hush": 1}' }, 'expected a JSON array of keys, such as'],
  ] as const) {
    const refused = await spawnGateway(t, {
      env: { KEYS_FILE: 'keys.json', LOG_LEVEL: 'info' },
      cwdFiles: files,
      listening: false,
    })
    assert.equal((await refused.exited).code, 1)
    assert.ok(
      refused.output.includes(`cannot start: KEYS_FILE: ${join(refused.cwd, 'keys.json')}: ${reason}`),
      refused.output,
    )
  }
})
