/** Jobs whose insert was given up: nothing of them is left, however late Redis does what it was asked. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JobRecord } from '../../../src/ledger/ledger.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { aJob, anAnswer, anEnd } from '../../kit/builders/jobs.ts'
import { eventually } from '../../kit/wait.ts'
import { openRedisStore } from '../sharedStores.ts'
import { bury, P } from './replicaKit.ts'

const CALLER = 'me'
/** Each is a slice of its own. */
const LONG = Buffer.alloc(400_000, 'x')
const MANY = { jobsOfCaller: 100, bytesOfCaller: 1e9, bytesInAll: 1e9 }
const PATIENT = { withinMs: 60_000 }

describe('an insert that is given up', { skip: redisMissing, concurrency: 3 }, () => {
  test('keeps no answer of jobs that are not there', async (t) => {
    const { a, b, server } = await twoGateways(t)
    const record = aJob({ caller: CALLER })
    // Redis does what it is asked, but not a word of it arrives.
    a.proxy.silence('answers')
    const inserted = assert.rejects(a.ledger.insert([{ record }], anAnswer({ caller: CALLER, key: 'k' })), {
      code: 'ERR_LEDGER',
    })
    await eventually(async () => (await server.call('EXISTS', `${P}j:${record.id}`)) === 1, PATIENT)
    await inserted
    a.proxy.mend()
    await eventually(async () => (await b.ledger.find(record.id)) === undefined, PATIENT)
    assert.equal(await b.ledger.idempotencyRecord(CALLER, '/api/jobs', 'k'), undefined)
    assert.deepEqual(await server.call('HGET', `${P}kept`, CALLER), null)
  })

  test('leaves no room taken on a Redis that is full meanwhile', async (t) => {
    const { a, server } = await twoGateways(t)
    const { room } = a.ledger.coordination
    const jobs = Array.from({ length: 40 }, () => ({ record: aJob({ caller: CALLER }), request: LONG, room: 10 }))
    assert.equal(await room.take(CALLER, { jobs: 40, bytes: 400 }, MANY), undefined)
    a.proxy.delay(50)
    const inserted = assert.rejects(a.ledger.insert(jobs), { code: 'ERR_LEDGER' })
    await eventually(async () => (await recorded(server, jobs)) > 0, PATIENT)
    await server.call('CONFIG', 'SET', 'maxmemory', '1')
    await inserted
    room.giveBack(CALLER, { jobs: 40, bytes: 400 })
    a.proxy.mend()
    await server.call('CONFIG', 'SET', 'maxmemory', '0')
    await eventually(async () => (await recorded(server, jobs)) === 0, PATIENT)
    const { self } = a.ledger.coordination.membership
    await eventually(async () => {
      const counts = await Promise.all(
        [`x:${self}`, `y:${self}`, 'open', 'obytes'].map((key) => server.call('HGETALL', P + key)),
      )
      return JSON.stringify(counts) === '[{},{},{},{}]'
    }, PATIENT)
  })

  test('leaves no room taken where its caller gives that back at once', async (t) => {
    const { a, b, server } = await twoGateways(t)
    const { room } = a.ledger.coordination
    const taken = aJob({ caller: 'them' })
    await b.ledger.insert([{ record: taken }])
    const records = [...Array.from({ length: 300 }, () => aJob({ caller: CALLER })), { ...taken, caller: CALLER }]
    const many = { ...MANY, jobsOfCaller: 301 }
    assert.equal(await room.take(CALLER, { jobs: 301, bytes: 301 }, many), undefined)
    const inserted = a.ledger.insert(records.map((record) => ({ record, room: 1 })))
    await inserted.catch(() => room.giveBack(CALLER, { jobs: 301, bytes: 301 }))
    await eventually(async () => (await b.ledger.list(CALLER, 'all')).length === 0)
    await a.ledger.find(taken.id)
    const { self } = a.ledger.coordination.membership
    assert.deepEqual(await server.call('HGETALL', `${P}x:${self}`), {})
  })
})

describe('a result that arrives', { skip: redisMissing }, () => {
  test('is not added to by a gateway that was buried: nobody would remove that', async (t) => {
    const { a, server } = await twoGateways(t)
    const received = await a.ledger.receive(CALLER)
    await received.add('result', LONG)
    const [key] = (await server.call('KEYS', `${P}t:*:r`)) as string[]
    assert.ok(Number(await server.call('PTTL', key!)) > 0)
    await server.call('DEL', key!)
    await bury(server, a.ledger.coordination.membership.self)
    await assert.rejects(received.add('result', LONG), { code: 'ERR_LEDGER' })
    assert.deepEqual(await server.call('KEYS', `${P}t:*:r`), [])
    received.drop()
  })
})

describe('what is removed to make room', { skip: redisMissing }, () => {
  test('does not hold Redis up where jobs are not there any more', async (t) => {
    const store = await openRedisStore(t)
    const { server } = store
    const { ledger } = await store.handle({ maxBytes: 20_000 })
    const record = aJob({ caller: CALLER })
    await ledger.insert([{ record }])
    assert.equal(await ledger.finish(record.id, anEnd({ result: Buffer.alloc(10_000) })), true)
    // As one that removes keys of its own accord does.
    await server.call('DEL', `${P}j:${record.id}`)
    const other = aJob({ caller: CALLER })
    await ledger.insert([{ record: other }])
    assert.equal(await ledger.finish(other.id, anEnd({ result: Buffer.alloc(15_000) })), true)
    await eventually(async () => (await server.call('EXISTS', `${P}j:${other.id}`)) === 0, PATIENT)
  })
})

async function twoGateways(t: Parameters<typeof openRedisStore>[0]) {
  const store = await openRedisStore(t)
  const [a, b] = [await store.handle(), await store.handle()]
  // Redis knows the scripts from now on.
  const warmUp = aJob()
  await a.ledger.insert([{ record: warmUp }])
  await a.ledger.finish(warmUp.id, anEnd())
  return { server: store.server, a, b }
}

async function recorded(
  server: { call(...command: string[]): Promise<unknown> },
  jobs: readonly { record: JobRecord }[],
) {
  return Number(await server.call('EXISTS', ...jobs.map(({ record }) => `${P}j:${record.id}`)))
}
