/** Usage in every store: what was added is there, by day, caller and model, in a bounded number of rows and days. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { utcDayOf } from '../../../src/base/utcDay.ts'
import {
  MODELS_OF_CALLER,
  MOST_USAGE_ROWS,
  NAMED_USAGE_ROWS,
  OTHER_USAGE,
  USAGE_DAYS,
  type UsageRow,
} from '../../../src/ledger/usage/usage.ts'
import type { Ledger } from '../../../src/ledger/ledger.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { ledgerPath, sqliteAt } from '../ledgerKit.ts'
import { LEDGERS } from '../ledgers.ts'
import { openRedisStore } from '../sharedStores.ts'
import { aRow, byName } from './rows.ts'

const TODAY = utcDayOf(Date.now())

let lastNumber = 0
const add = (ledger: Ledger, rows: readonly UsageRow[], number = ++lastNumber): Promise<void> =>
  ledger.usage.add({ writer: 'w', number, rows })

/** In the groups in which a gateway adds them. */
async function addAll(ledger: Ledger, rows: readonly UsageRow[]): Promise<void> {
  for (let at = 0; at < rows.length; at += 500) await add(ledger, rows.slice(at, at + 500))
}

const requestsIn = (rows: readonly UsageRow[]): number => rows.reduce((sum, { requests }) => sum + requests, 0)

for (const [name, open] of Object.entries(LEDGERS)) {
  suite(`usage in the ${name} ledger`, { skip: name === 'redis' && redisMissing }, () => {
    test('is added up by day, caller and model', async (t) => {
      const ledger = await open(t)
      const names = { caller: '2001:db8:0:0::/64', model: 'org/ä model:"latest"\n2' }
      await add(ledger, [aRow(), aRow({ caller: 'key:b' }), aRow({ day: TODAY - 1 }), aRow(names)])
      await add(ledger, [
        aRow({ requests: 2, promptTokens: 30, completionTokens: 4, cachedTokens: 20 }),
        aRow({ model: 'other' }),
        aRow({ ...names, promptTokens: Number.MAX_SAFE_INTEGER - 1000 }),
      ])
      assert.deepEqual((await ledger.usage.read(TODAY)).sort(byName), [
        aRow({
          ...names,
          requests: 2,
          promptTokens: Number.MAX_SAFE_INTEGER - 990,
          completionTokens: 10,
          cachedTokens: 4,
        }),
        aRow({ caller: 'key:b' }),
        aRow({ requests: 3, promptTokens: 40, completionTokens: 9, cachedTokens: 22 }),
        aRow({ model: 'other' }),
      ])
      assert.deepEqual(await ledger.usage.read(TODAY - 1), [aRow({ day: TODAY - 1 })])
      assert.deepEqual(await ledger.usage.read(TODAY + 1), [])
    })

    test('of a caller who makes up models is bounded, and leaves those of others alone', async (t) => {
      const ledger = await open(t)
      const made = Array.from({ length: MODELS_OF_CALLER + 50 }, (_, n) =>
        aRow({ caller: 'name:many', model: `m-${n}` }),
      )
      await addAll(ledger, made)
      await add(ledger, [aRow({ caller: 'name:few', model: 'm-249' }), aRow({ caller: 'name:many', model: 'm-0' })])
      const rows = await ledger.usage.read(TODAY)
      const ofMany = rows.filter(({ caller }) => caller === 'name:many')
      assert.equal(ofMany.length, MODELS_OF_CALLER + 1)
      assert.equal(ofMany.find(({ model }) => model === OTHER_USAGE)?.requests, 50)
      assert.equal(ofMany.find(({ model }) => model === 'm-0')?.requests, 2)
      assert.deepEqual(
        rows.filter(({ caller }) => caller === 'name:few'),
        [aRow({ caller: 'name:few', model: 'm-249' })],
      )
    })

    test('of too many callers loses first the names of models, then those of callers, and no count', async (t) => {
      const ledger = await open(t)
      await addAll(
        ledger,
        Array.from({ length: MOST_USAGE_ROWS + 500 }, (_, n) => aRow({ caller: `10.0.${n >> 8}.${n & 255}` })),
      )
      const rows = await ledger.usage.read(TODAY)
      assert.equal(rows.length, MOST_USAGE_ROWS)
      assert.equal(requestsIn(rows), MOST_USAGE_ROWS + 500)
      const others = rows.filter(({ model }) => model === OTHER_USAGE)
      assert.equal(others.length, MOST_USAGE_ROWS - NAMED_USAGE_ROWS)
      assert.equal(others.find(({ caller }) => caller === OTHER_USAGE)?.requests, 501)
      // What has a row still goes there, and the next day begins anew.
      await add(ledger, [aRow({ caller: '10.0.0.0' }), aRow({ day: TODAY + 1 })])
      const later = await ledger.usage.read(TODAY)
      assert.equal(later.length, MOST_USAGE_ROWS)
      assert.equal(later.find(({ caller }) => caller === '10.0.0.0')?.requests, 2)
      assert.deepEqual(await ledger.usage.read(TODAY + 1), [aRow({ day: TODAY + 1 })])
    })

    test(`is kept for ${USAGE_DAYS} days`, async (t) => {
      const ledger = await open(t)
      const kept = aRow({ day: TODAY - USAGE_DAYS + 1 })
      await add(ledger, [kept, aRow({ day: TODAY - USAGE_DAYS - 2 })])
      await eventually(async () => (await ledger.usage.read(TODAY - USAGE_DAYS - 2)).length === 0)
      assert.deepEqual(await ledger.usage.read(kept.day), [kept])
    })

    test('cannot be added or read once the ledger is closed', async (t) => {
      const ledger = await open(t)
      await ledger.close()
      await assert.rejects(add(ledger, [aRow()]), { code: 'ERR_LEDGER' })
      await assert.rejects(ledger.usage.read(TODAY), { code: 'ERR_LEDGER' })
    })
  })
}

test('usage in a file survives a restart', async (t) => {
  const path = await ledgerPath(t)
  const first = await sqliteAt(t, path)
  await add(first, [aRow()])
  await first.close()
  const second = await sqliteAt(t, path)
  await add(second, [aRow()])
  const [row] = await second.usage.read(TODAY)
  assert.deepEqual(row, aRow({ requests: 2, promptTokens: 20, completionTokens: 10, cachedTokens: 4 }))
})

suite('usage in Redis', { skip: redisMissing }, () => {
  test('of several gateways is summed', async (t) => {
    const store = await openRedisStore(t)
    const [one, two] = [await store.handle(), await store.handle()]
    await one.ledger.usage.add({ writer: 'one', number: 1, rows: [aRow()] })
    await two.ledger.usage.add({ writer: 'two', number: 1, rows: [aRow()] })
    assert.deepEqual(requestsIn(await one.ledger.usage.read(TODAY)), 2)
  })

  test('counts once where a batch was added, but its answer was lost, and it is added again', async (t) => {
    const store = await openRedisStore(t)
    const gateway = await store.handle()
    const { ledger, proxy } = gateway
    await add(ledger, [aRow()], 1)
    proxy.silence('answers')
    const unsure = add(ledger, [aRow()], 2)
    await eventually(async () => String(await store.server.call('GET', '{igw}:usew:w')) === '2')
    gateway.cutOff()
    await assert.rejects(unsure, { code: 'ERR_LEDGER' })
    gateway.rejoin()
    await eventually(() =>
      add(ledger, [aRow()], 2).then(
        () => true,
        () => false,
      ),
    )
    await add(ledger, [aRow()], 3)
    assert.equal(requestsIn(await ledger.usage.read(TODAY)), 3)
  })
})
