import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { startExplorer } from '../../fleet/sources/fakeExplorer.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }
const ofBoth = await startFakeNode({}, file)
const discovered = await startFakeNode({}, file)
// On a loopback address of its own, so that its port is free to be the one that explorers leave out.
const hostOfPort4000 = `127.${randomInt(1, 255)}.${randomInt(256)}.1`
const skip = await startFakeNode({ host: hostOfPort4000, port: 4000 }, file).then(
  () => false,
  (error: NodeJS.ErrnoException) => {
    // Somebody listens there on all addresses.
    if (error.code === 'EADDRINUSE') return 'port 4000 is taken on this machine'
    throw error
  },
)
const other = await startFakeNode({}, file)

const all = [{ ip: '127.0.0.1', port: ofBoth.port }, { ip: '127.0.0.1', port: discovered.port }, { ip: hostOfPort4000 }]
const inFile = `http://${ofBoth.address}/`
const explorer = await startExplorer(file)
if (!skip) explorer.lists(...all)
const gateway = await spawnGateway(file, {
  nodes: [inFile],
  env: {
    API_URL: `${explorer.url}/`,
    DISCOVERY_ALLOW_PRIVATE: 'true',
    REFRESH_INTERVAL: '0.15',
    RATELIMIT_REQS_PER_MIN: '0',
  },
})

async function listed(): Promise<string[]> {
  const { services } = (await request(`${gateway.url}/services`)).json<{ services: { name: string }[] }>()
  return services.map(({ name }) => name)
}

async function becomes(...expected: string[]): Promise<void> {
  await eventually(async () => (await listed()).join() === expected.join(), {
    withinMs: 20_000,
    what: `the list ${expected.join()}`,
  })
}

const everybody = [inFile, discovered.address, `${hostOfPort4000}:4000`]

describe('nodes that an explorer lists', { skip }, () => {
  test('join those of the file; a missing port is 4000; one in both is one, as the file spells it', async () => {
    await gateway.ready(3)
    await becomes(...everybody)
    assert.equal(explorer.requests[0], '/api/nodes?minutes_past=60')
    const handedOut = (await request(`${gateway.url}/api/v1/ips?container=echo&n=9`)).json<string[]>()
    assert.deepEqual(handedOut.sort(), [...everybody].sort())
  })

  for (const [what, answer] of [
    ['an outage', { status: 503, body: { data: [] } }],
    ['a web page', { headers: { 'content-type': 'text/html' }, body: '<html><body>data</body></html>' }],
    ['something huge', { body: { data: [{ ip: '127.0.0.1', port: 1, notes: 'x'.repeat(6_000_000) }] } }],
    ['a redirect', { status: 307, headers: { location: '/other' } }],
    ['another shape', { body: { nodes: [] } }],
  ] as const) {
    test(`stay when the explorer gives ${what}`, async () => {
      explorer.says(answer)
      await explorer.answered(2)
      assert.deepEqual(await listed(), everybody)
      assert.ok(!explorer.requests.includes('/other'))
    })
  }

  test('stay when nobody is there, and the log says so once', async () => {
    explorer.does((incoming) => incoming.socket.destroy())
    await explorer.answered(2)
    assert.deepEqual(await listed(), everybody)
    const warnings = gateway.logs.filter(({ message }) => message?.includes('keeping the last good one') === true)
    assert.deepEqual(
      warnings.map(({ level }) => level),
      ['warn'],
    )
  })

  test('change when the explorer is back with another list', async () => {
    explorer.lists({ ip: '127.0.0.1', port: other.port })
    await becomes(inFile, other.address)
    await gateway.waitForLog(({ message }) => message === 'explorer answers again')
  })

  test('are gone when its list is empty; those of the file stay', async () => {
    explorer.lists()
    await becomes(inFile)
  })

  test('may lie in private ranges only where that is allowed; those of the file always may', async () => {
    explorer.lists(...all)
    await gateway.restart({ DISCOVERY_ALLOW_PRIVATE: 'false' })
    await gateway.ready(1)
    await explorer.answered(2)
    assert.deepEqual(await listed(), [inFile])
    await gateway.waitForLog(
      ({ level, message }) => level === 'warn' && message?.startsWith('explorer entries') === true,
    )
  })

  test('are not waited for: with no explorer at all the nodes of the file serve', async () => {
    explorer.close()
    await gateway.restart()
    await gateway.ready(1)
    assert.deepEqual((await request(`${gateway.url}/api/v1/ips?container=echo`)).json(), [inFile])
  })
})
