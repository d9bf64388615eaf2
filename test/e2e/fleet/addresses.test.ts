import assert from 'node:assert/strict'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { infoText } from '../../kit/builders/infos.ts'
import { serve } from '../../kit/serve.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'

const file = { after }
const [plain, withScheme, sized, byName] = await Promise.all([1, 2, 3, 4].map(() => startFakeNode({}, file)))
const sixth = await startFakeNode({ host: '::1' }, file).catch(() => undefined)
const infoOfBase = await serve(file, ({ url }, response) =>
  response.writeHead(url === '/some/base/info' ? 200 : 404).end(infoText()),
)
const names = [
  plain!.address,
  `HTTP://${withScheme!.address}/`,
  sized!.address,
  `localhost:${byName!.port}/`,
  `http://${infoOfBase}/some/base/`,
  ...(sixth ? [sixth.address] : []),
]
const gateway = await spawnGateway(file, {
  ipsLines: [
    '\uFEFF# the nodes of the east wing',
    '',
    plain!.address,
    `  HTTP://${withScheme!.address}/\t`,
    `${sized!.address} concurrency=7  # a big one`,
    `localhost:${byName!.port}/\r`,
    `http://${infoOfBase}/some/base/ #no trailing comment too short`,
    ...(sixth ? [sixth.address] : []),
    // One node, two spellings: the first stands.
    `http://${plain!.address}`,
    // Bad ones.
    'ftp://node.example:4000',
    '127.0.0.1:99999',
    '127.0.0.1:4000/base',
    '127.0.0.1:',
    '127.0.0.1:4000 concurrency=none',
    '# the end',
  ],
  env: { RATELIMIT_REQS_PER_MIN: '0', REFRESH_INTERVAL: '0.4' },
})
await gateway.ready(names.length)

/** Less than the shortest time between two polls of a node in its turn: their interval varies by a tenth. */
const TURN_MS = 350

async function listed(): Promise<string[]> {
  const { services, total } = (await request(`${gateway.url}/services`)).json<{
    services: { name: string }[]
    total: number
  }>()
  assert.equal(total, services.length)
  return services.map(({ name }) => name)
}

async function becomes(...expected: string[]): Promise<void> {
  await eventually(async () => (await listed()).join() === expected.join(), {
    withinMs: 20_000,
    what: `the list ${expected.join()}`,
  })
}

async function handedOut(): Promise<string[]> {
  return (await request(`${gateway.url}/api/v1/ips?container=echo&n=20`)).json<string[]>()
}

describe('the addresses file', () => {
  test('may spell nodes in every way, and they are shown as they are spelt there, in its order', async () => {
    assert.deepEqual(await listed(), names)
  })

  test('gives look-ups its spelling, to the letter', async () => {
    assert.deepEqual((await handedOut()).sort(), [...names].sort())
  })

  test('may say how many jobs a node runs at once', async () => {
    const concurrencyOf = async (node: { address: string }): Promise<unknown> =>
      ((await statsOf(gateway, node)) as unknown as { concurrency: unknown }).concurrency
    assert.equal(await concurrencyOf(sized!), 7)
    assert.equal(await concurrencyOf(plain!), 3)
  })

  test('has its bad lines skipped, and the log tells which they are and what is wrong', () => {
    const bad = gateway.logs.filter(({ message }) => message?.startsWith('bad line') === true)
    const first = 8 + (sixth ? 1 : 0) + 1
    assert.deepEqual(
      bad.map(({ level, line, text }) => ({ level, line, text })),
      [
        { level: 'warn', line: first, text: 'ftp://node.example:4000' },
        { level: 'warn', line: first + 1, text: '127.0.0.1:99999' },
        { level: 'warn', line: first + 2, text: '127.0.0.1:4000/base' },
        { level: 'warn', line: first + 3, text: '127.0.0.1:' },
        { level: 'warn', line: first + 4, text: '127.0.0.1:4000 concurrency=none' },
      ],
    )
    for (const line of bad) assert.ok(String(line['reason']).length > 10)
  })

  test('has its bad lines shown in /stats and counted in /metrics', async () => {
    const stats = (await request(`${gateway.url}/stats`)).json<{ bad_lines: object[]; bad_lines_total: number }>()
    const told = gateway.logs.filter(({ message }) => message?.startsWith('bad line') === true)
    const expected = told.map(({ line, text, reason }) => ({ setting: 'IPS_FILE', line, entry: text, reason }))
    assert.deepEqual([stats.bad_lines, stats.bad_lines_total], [expected, 5])
    const metrics = (await request(`${gateway.url}/metrics`)).text
    assert.match(metrics, /^infernet_gateway_bad_lines\{setting="IPS_FILE"\} 5$/m)
  })
})

describe('a change of the addresses file counts without a restart', () => {
  const [first, second] = [plain!, sized!]

  test('what is known of a node that stays is kept', async () => {
    await gateway.setNodes([first.address])
    await becomes(first.address)
    await post(`${gateway.url}/api/jobs`, jobOf())
    assert.equal((await statsOf(gateway, first)).request_count, 1)
    const since = performance.now()
    const polls = first.seen('info').length
    await gateway.setNodes([second.address, first.address])
    await becomes(second.address, first.address)
    assert.equal((await statsOf(gateway, first)).request_count, 1)
    assert.equal(
      gateway.logs.filter((line) => line.message === 'node added' && line['node'] === first.address).length,
      1,
    )
    // It was not polled anew for that, only in its turn.
    const more = first.seen('info').length - polls
    const tookMs = performance.now() - since
    assert.ok(more <= 1 + Math.floor(tookMs / TURN_MS), `${more} polls in ${tookMs} ms`)
  })

  test('a new node is polled at once, a removed one is handed out no more', async () => {
    await gateway.ready(2)
    assert.deepEqual((await handedOut()).sort(), [first.address, second.address].sort())
    await gateway.setNodes([second.address])
    await becomes(second.address)
    assert.deepEqual(await handedOut(), [second.address])
    await gateway.waitForLog((line) => line.message === 'node removed from the list' && line['node'] === first.address)
    const polls = first.seen('info').length
    const others = second.seen('info').length
    await eventually(() => second.seen('info').length > others + 2, { withinMs: 20_000 })
    assert.ok(first.seen('info').length <= polls + 1, 'nor is it polled any more')
  })

  test('another spelling of the same node is the same node', async () => {
    const { request_count } = await statsOf(gateway, second)
    await gateway.setNodes([`http://${second.address}/ concurrency=2`])
    await becomes(`http://${second.address}/`)
    assert.deepEqual(await handedOut(), [`http://${second.address}/`])
    const stats = await statsOf(gateway, { address: `http://${second.address}/` })
    assert.equal(stats.healthy, true)
    assert.equal(stats.request_count, request_count)
    assert.equal((stats as unknown as { concurrency: number }).concurrency, 2)
  })

  test('an editor may put another file in its place', async () => {
    const path = join(gateway.cwd, 'ips.txt')
    for (const node of [first, second]) {
      await writeFile(`${path}~`, `${node.address}\n`)
      await rename(`${path}~`, path)
      await becomes(node.address)
    }
  })

  test('without it there are no nodes, and the log warns', async () => {
    await rm(join(gateway.cwd, 'ips.txt'))
    await becomes()
    await gateway.waitForLog((line) => line.level === 'warn' && line.message?.includes('missing') === true)
    assert.deepEqual(await handedOut(), [])
    assert.equal((await request(`${gateway.url}/health`)).status, 503)
  })

  test('nor does it have to be there at the start', async () => {
    const lines = gateway.logs.length
    await gateway.restart()
    await gateway.waitForLog(
      (line) =>
        gateway.logs.indexOf(line) >= lines && line.level === 'warn' && line.message?.includes('missing') === true,
    )
    assert.deepEqual(await handedOut(), [])
    await gateway.setNodes([first.address])
    await gateway.ready(1)
    assert.deepEqual(await handedOut(), [first.address])
  })
})
