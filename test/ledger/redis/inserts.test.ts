/** Inserts that are too long for one call to Redis. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { SharedLedger } from '../../../src/ledger/ledger.ts'
import { aJob } from '../../kit/builders/jobs.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { ledgerAt } from '../ledgerKit.ts'
import { P } from './replicaKit.ts'

const COUNT = 300
const NO_LIMITS = { jobsOfCaller: 0, bytesOfCaller: 1e9, bytesInAll: 1e9 }

suite('an insert in several calls', { skip: redisMissing, concurrency: 4 }, () => {
  test('that is refused in a later one leaves no jobs, and no places taken once they are given back', async (t) => {
    const server = await startRedis(t)
    const ledger = (await ledgerAt(t, server.url())) as SharedLedger
    const { room, membership } = ledger.coordination
    const taken = aJob({ caller: 'another' })
    await ledger.insert([{ record: taken }])
    // Redis knows the script from now on; before it would ask for it.
    room.giveBack('another', { jobs: 1, bytes: 0 })
    const records = Array.from({ length: COUNT }, () => aJob({ caller: 'c' }))
    records[COUNT - 1] = aJob({ caller: 'c', id: taken.id })
    const places = { jobs: COUNT, bytes: 10 * COUNT }
    await room.take('c', places, NO_LIMITS)
    await assert.rejects(ledger.insert(records.map((record) => ({ record, room: 10 }))), { code: 'ERR_DUPLICATE' })
    room.giveBack('c', places)
    await eventually(async () => (await ledger.list('c', 'all')).length === 0)
    const held = [`${P}x:${membership.self}`, `${P}y:${membership.self}`]
    assert.equal(await server.call('EXISTS', ...held), 0)
  })

  test('that an outage ends halfway is undone afterwards, and its places are given back', async (t) => {
    const server = await startRedis(t)
    const ledger = (await ledgerAt(t, server.url())) as SharedLedger
    const { room, membership } = ledger.coordination
    const places = { jobs: COUNT, bytes: 10 * COUNT }
    await room.take('c', places, NO_LIMITS)
    const records = Array.from({ length: COUNT }, () => aJob({ caller: 'c' }))
    // Of two calls the second has a request for which there is no memory.
    const long = Buffer.alloc(400_000, 'x')
    const jobs = records.map((record, index) => ({ record, room: 10, ...(index >= 200 && { request: long }) }))
    // Listened to from the start: the refusal may come before the answer to CONFIG.
    const refused = assert.rejects(ledger.insert(jobs), { code: 'ERR_LEDGER' })
    await eventually(async () => Number(await server.call('HGET', `${P}tot`, 'jobs')) >= 200)
    await server.call('CONFIG', 'SET', 'maxmemory', '1mb')
    await refused
    room.giveBack('c', places)
    await server.call('CONFIG', 'SET', 'maxmemory', '0')
    await eventually(async () => (await server.call('EXISTS', `${P}open`)) === 0)
    await eventually(async () => (await ledger.list('c', 'all')).length === 0)
    assert.equal(await server.call('EXISTS', `${P}x:${membership.self}`), 0)
  })
})
