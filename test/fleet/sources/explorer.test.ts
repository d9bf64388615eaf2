import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { NodeSpec } from '../../../src/fleet/address.ts'
import { Explorer } from '../../../src/fleet/sources/explorer.ts'
import { eventually } from '../../kit/wait.ts'
import { startExplorer } from './fakeExplorer.ts'
import type { FakeExplorer } from './fakeExplorer.ts'
import { keepLines } from './logLines.ts'
import type { KeptLine } from './logLines.ts'

/** Asks the explorer once; `names` is undefined where it gave no list. */
async function ask(
  t: TestContext,
  fake: FakeExplorer,
  { allowPrivate = true } = {},
): Promise<{ names: string[] | undefined; lines: KeptLine[] }> {
  const { logger, lines } = keepLines()
  const explorer = new Explorer({ apiUrl: fake.url, intervalSeconds: 3600, allowPrivate }, logger)
  t.after(() => explorer.stop())
  let list: readonly NodeSpec[] | undefined
  await explorer.start((specs) => (list = specs))
  explorer.stop()
  return { names: list?.map((spec) => spec.name), lines }
}

describe('what an explorer lists', () => {
  test('is asked for as the Node Explorer wants it', async (t) => {
    const fake = await startExplorer(t)
    await ask(t, fake)
    assert.deepEqual(fake.requests, ['/api/nodes?minutes_past=60'])
  })

  test('is ip and port; a missing port is 4000', async (t) => {
    const fake = await startExplorer(t)
    fake.lists(
      { ip: '10.0.0.1', port: 4321, name: 'one' },
      { ip: '10.0.0.2' },
      { ip: '10.0.0.3', port: null },
      { ip: '10.0.0.4', port: '4001' },
      { ip: '2001:db8::5', port: 4002 },
    )
    const { names } = await ask(t, fake)
    assert.deepEqual(names, ['10.0.0.1:4321', '10.0.0.2:4000', '10.0.0.3:4000', '10.0.0.4:4001', '[2001:db8::5]:4002'])
  })

  test('may be an IPv4 address in IPv6 clothes', async (t) => {
    const fake = await startExplorer(t)
    fake.lists({ ip: '::ffff:10.0.0.1', port: 4321 })
    assert.deepEqual((await ask(t, fake)).names, ['10.0.0.1:4321'])
  })

  test('is skipped entry by entry where it is no address, and the log says how many', async (t) => {
    const fake = await startExplorer(t)
    fake.lists(
      { ip: '10.0.0.1' },
      { ip: 'node.example' },
      { ip: 'fe80::1%eth0' },
      { ip: '10.0.0.2', port: 0 },
      { ip: '10.0.0.2', port: 65536 },
      { ip: '10.0.0.2', port: 4000.5 },
      { ip: '10.0.0.2', port: 'http' },
      { ip: '10.0.0.2', port: true },
      { ip: '10.0.0.2', port: [4000] },
      { ip: 7 },
      null,
      'nonsense',
    )
    const { names, lines } = await ask(t, fake)
    assert.deepEqual(names, ['10.0.0.1:4000'])
    assert.equal(lines.find(({ level }) => level === 'warn')?.fields['skipped'], 11)
  })

  test('may be empty', async (t) => {
    const fake = await startExplorer(t)
    fake.lists()
    assert.deepEqual((await ask(t, fake)).names, [])
  })
})

describe('addresses that lead inwards', () => {
  const INWARDS = [
    ...['127.0.0.1', '10.1.2.3', '172.16.0.1', '192.168.0.1', '169.254.169.254', '100.64.0.1', '0.0.0.0'],
    ...['224.0.0.1', '255.255.255.255', '::1', 'fe80::1', 'fec0::1', 'fd00::1', 'ff02::1', '::', '::127.0.0.1'],
    ...['::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:0:10.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::10.0.0.1'],
    // 6to4, and Teredo, which holds 10.0.0.1 with its bits turned round.
    ...['2002:7f00:1::', '2002:a00:1::1', '2001:0:808:808::f5ff:fffe'],
  ]
  /** Documentation, benchmarking and other reserved ranges are none of a private network. */
  const OUTWARDS = [
    ...['8.8.8.8', '192.0.2.7', '198.51.100.9', '203.0.113.5', '198.18.0.1', '240.0.0.1', '[2a00:1450:4001::1]'],
    ...['[2001:db8::1]', '[2001:2::1]', '[64:ff9b::808:808]', '[2002:808:808::1]', '[2001:0:808:808::f7f7:f7f7]'],
  ]
  const outwards = OUTWARDS.map((address) => ({ ip: address.replace(/[[\]]/g, '') }))

  test('are skipped unless they are allowed', async (t) => {
    const fake = await startExplorer(t)
    fake.lists(...INWARDS.map((ip) => ({ ip })), ...outwards)
    const { names, lines } = await ask(t, fake, { allowPrivate: false })
    assert.deepEqual(
      names,
      OUTWARDS.map((address) => `${address}:4000`),
    )
    assert.equal(lines.find(({ level }) => level === 'warn')?.fields['skipped'], INWARDS.length)
  })

  test('alone make a list that is empty, not one that is nonsense', async (t) => {
    const fake = await startExplorer(t)
    fake.lists(...INWARDS.map((ip) => ({ ip })), { ip: 'garbage' })
    assert.deepEqual((await ask(t, fake, { allowPrivate: false })).names, [])
  })

  test('are taken where they are', async (t) => {
    const fake = await startExplorer(t)
    fake.lists(...['127.0.0.1', '10.1.2.3', '192.168.0.1'].map((ip) => ({ ip })))
    assert.deepEqual((await ask(t, fake)).names, ['127.0.0.1:4000', '10.1.2.3:4000', '192.168.0.1:4000'])
  })
})

describe('an answer that is no list keeps the last good one, and the log says so', () => {
  for (const [what, answer] of [
    ['an outage', { status: 503, body: { data: [] } }],
    ['a web page', { headers: { 'content-type': 'text/html' }, body: '<html>{"data":[]}</html>' }],
    ['nothing', { body: '' }],
    ['JSON that breaks off', { body: '{"data":[{"ip":"10.0.0.1"}' }],
    ['null', { body: 'null' }],
    ['a bare list', { body: [{ ip: '10.0.0.1' }] }],
    ['no data', { body: {} }],
    ['data of another type', { body: { data: { ip: '10.0.0.1' } } }],
    ['entries of another kind', { body: { data: [{ address: '10.0.0.1' }, { address: '10.0.0.2' }] } }],
    ['addresses that are none', { body: { data: [{ ip: 'garbage' }, { ip: '' }] } }],
    [
      'ports that are none',
      {
        body: {
          data: [
            { ip: '127.0.0.1', port: 'x' },
            { ip: '8.8.8.8', port: 0 },
          ],
        },
      },
    ],
    ['a redirect', { status: 302, headers: { location: '/elsewhere' }, body: { data: [] } }],
    ['six megabytes', { body: { data: [], padding: 'x'.repeat(6_000_000) } }],
  ] as const) {
    test(`where it is ${what}`, async (t) => {
      const fake = await startExplorer(t)
      fake.says(answer)
      const { names, lines } = await ask(t, fake)
      assert.equal(names, undefined)
      assert.deepEqual(
        lines.map(({ level }) => level),
        ['warn'],
      )
      assert.deepEqual(fake.requests.length, 1, 'redirects are not followed')
    })
  }

  test('where the connection breaks', async (t) => {
    const fake = await startExplorer(t)
    fake.does((request) => request.socket.destroy())
    assert.equal((await ask(t, fake)).names, undefined)
  })

  test('where nobody is there', async (t) => {
    const fake = await startExplorer(t)
    const { url } = fake
    fake.close()
    const { logger, lines } = keepLines()
    const explorer = new Explorer({ apiUrl: url, intervalSeconds: 3600, allowPrivate: true }, logger)
    t.after(() => explorer.stop())
    await explorer.start(() => assert.fail('there is no list'))
    assert.equal(lines.length, 1)
  })
})

test('an outage is told once, and so is its end', async (t) => {
  const fake = await startExplorer(t)
  const { logger, lines } = keepLines()
  const lists: string[][] = []
  const explorer = new Explorer({ apiUrl: fake.url, intervalSeconds: 0.02, allowPrivate: true }, logger)
  t.after(() => explorer.stop())
  fake.says({ status: 500 })
  await explorer.start((specs) => lists.push(specs.map((spec) => spec.name)))
  await fake.answered(3)
  fake.lists({ ip: '10.0.0.1' })
  await fake.answered(3)
  assert.deepEqual(lists[0], ['10.0.0.1:4000'])
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['warn', 'info'],
  )
})

test('a list that loses more than half is asked for again before it counts, without waiting for the next turn', async (t) => {
  const fake = await startExplorer(t)
  const { logger, lines } = keepLines()
  const lists: string[][] = []
  const options = { apiUrl: fake.url, intervalSeconds: 3600, allowPrivate: true, believeAfterMs: 100 }
  const explorer = new Explorer(options, logger)
  t.after(() => explorer.stop())
  fake.lists({ ip: '10.0.0.1' }, { ip: '10.0.0.2' })
  await explorer.start((specs) => lists.push(specs.map((spec) => spec.name)))
  fake.lists()
  explorer.reread()
  await eventually(() => lists[1])
  assert.deepEqual(lists, [['10.0.0.1:4000', '10.0.0.2:4000'], []])
  assert.ok(fake.requests.length >= 3)
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['warn', 'warn'],
  )
})

test('once stopped it asks no more', async (t) => {
  const fake = await startExplorer(t)
  const explorer = new Explorer({ apiUrl: fake.url, intervalSeconds: 0.01, allowPrivate: true }, keepLines().logger)
  await explorer.start(() => undefined)
  await fake.answered(2)
  explorer.stop()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const asked = fake.requests.length
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(fake.requests.length, asked)
})
