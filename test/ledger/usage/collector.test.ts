/** What is counted reaches the ledger once, in groups, under the day on which it happened, whatever becomes of the ledger. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { utcDayOf } from '../../../src/base/utcDay.ts'
import { MemoryLedger } from '../../../src/ledger/memory/ledger.ts'
import { UsageCollector } from '../../../src/ledger/usage/collector.ts'
import {
  MAX_USAGE_MODEL,
  MOST_USAGE_ROWS,
  OTHER_USAGE,
  type UsageBatch,
  type UsageRow,
  type UsageStore,
} from '../../../src/ledger/usage/usage.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { DAY_MS, ledgerPath, LogLines, sqliteAt } from '../ledgerKit.ts'
import { aRow, byName } from './rows.ts'

const TODAY = utcDayOf(Date.now())
const TOKENS = { promptTokens: 10, completionTokens: 5, cachedTokens: 2 }

/** A store that a test closes and opens, before the real one. */
class Gate implements UsageStore {
  readonly batches: UsageBatch[] = []
  isOpen = true
  readonly #store: UsageStore

  constructor(store: UsageStore) {
    this.#store = store
  }

  async add(batch: UsageBatch): Promise<void> {
    this.batches.push(batch)
    if (!this.isOpen) throw new Error('closed')
    await this.#store.add(batch)
  }

  read(day: number): Promise<UsageRow[]> {
    return this.#store.read(day)
  }
}

function collecting(t: Cleanup, wallClock = Date.now) {
  const ledger = new MemoryLedger({ maxBytes: 1e9, ttlMs: DAY_MS })
  t.after(() => ledger.close())
  const logger = new LogLines()
  const store = new Gate(ledger.usage)
  return { store, logger, usage: new UsageCollector({ store, logger, wallClock }) }
}

suite('the usage collector', () => {
  test('adds requests of one caller and model in one row, and nothing where there is nothing new', async (t) => {
    const { store, usage } = collecting(t)
    for (let n = 0; n < 1000; n++) usage.count('name:team', 'org/model', TOKENS)
    usage.count('name:team', 'untold')
    await usage.flush()
    await usage.flush()
    assert.equal(store.batches.length, 1)
    assert.deepEqual((await store.read(TODAY)).sort(byName), [
      aRow({ requests: 1000, promptTokens: 10_000, completionTokens: 5000, cachedTokens: 2000 }),
      aRow({ model: 'untold', promptTokens: 0, completionTokens: 0, cachedTokens: 0 }),
    ])
  })

  test('counts a request on the UTC day on which it ended, also where a day ends between two flushes', async (t) => {
    const midnight = (TODAY + 1) * DAY_MS
    let now = midnight - 1
    const { store, usage } = collecting(t, () => now)
    usage.count('name:team', 'org/model', TOKENS)
    now = midnight
    usage.count('name:team', 'org/model', TOKENS)
    usage.count('name:team', 'org/model', TOKENS)
    await usage.flush()
    assert.deepEqual(await store.read(TODAY), [aRow()])
    const ofTwo = { requests: 2, promptTokens: 20, completionTokens: 10, cachedTokens: 4 }
    assert.deepEqual(await store.read(TODAY + 1), [aRow({ day: TODAY + 1, ...ofTwo })])
  })

  test('adds by itself once a second, and what was refused again until it is taken, as the same batch', async (t) => {
    const { store, usage } = collecting(t)
    store.isOpen = false
    usage.start()
    t.after(() => usage.stop())
    usage.count('name:team', 'org/model', TOKENS)
    await eventually(() => store.batches.length >= 2)
    assert.equal(new Set(store.batches).size, 1)
    usage.count('name:team', 'org/model', TOKENS)
    store.isOpen = true
    await eventually(async () => (await store.read(TODAY))[0]?.requests === 2)
    const taken = store.batches.slice(-2)
    assert.deepEqual(
      taken.map(({ number }) => number),
      [1, 2],
    )
  })

  test('holds a bounded number of rows while the ledger takes none, and loses no request', async (t) => {
    let day = TODAY
    const { store, usage } = collecting(t, () => day * DAY_MS)
    store.isOpen = false
    const callers = MOST_USAGE_ROWS + 100
    const countAll = async (): Promise<void> => {
      for (let n = 0; n < callers; n++) usage.count(`10.0.${n >> 8}.${n & 255}`, 'm')
      await assert.rejects(usage.flush())
    }
    await countAll()
    for (; day < TODAY + 2; day++) await countAll()
    store.isOpen = true
    await usage.flush()
    const rows = [...(await store.read(TODAY)), ...(await store.read(TODAY + 1))]
    assert.equal(
      rows.reduce((sum, { requests }) => sum + requests, 0),
      3 * callers,
    )
    const added = new Set(store.batches)
    const held = [...added].reduce((sum, batch) => sum + batch.rows.length, 0)
    // What was to be added when the ledger began to refuse, and what came after that; each day has a row for all others.
    assert.ok(held <= 2 * MOST_USAGE_ROWS + 2, `${held} rows`)
  })

  test('cuts long names of models, and counts addresses of one IPv6 network together', async (t) => {
    const { store, usage } = collecting(t)
    usage.count('2001:db8::1', 'x'.repeat(1000))
    usage.count('2001:db8::2', 'x'.repeat(2000))
    await usage.flush()
    const [row, ...others] = await store.read(TODAY)
    assert.deepEqual(others, [])
    assert.equal(row?.caller, '2001:db8:0:0::/64')
    assert.equal(row.model.length, MAX_USAGE_MODEL)
    assert.equal(row.requests, 2)
    assert.notEqual(row.model, OTHER_USAGE)
  })

  test('adds the last at its end, also to a ledger that takes it only after a while', async (t) => {
    const { store, usage, logger } = collecting(t)
    usage.start()
    usage.count('name:team', 'org/model', TOKENS)
    store.isOpen = false
    const stopped = usage.stop()
    await eventually(() => store.batches.length >= 2)
    store.isOpen = true
    await stopped
    assert.deepEqual(await store.read(TODAY), [aRow()])
    assert.deepEqual(logger.lines, [])
  })

  test('says at its end what is lost where the ledger takes nothing', async (t) => {
    const { store, usage, logger } = collecting(t)
    store.isOpen = false
    usage.count('name:team', 'org/model', TOKENS)
    await usage.stop()
    assert.deepEqual(logger.lines, ['error usage is lost: the ledger cannot be written'])
  })
})

test('a batch that a full disk refuses is not in the file at all, and jobs wait for room as well', async (t) => {
  const path = await ledgerPath(t)
  const ledger = await sqliteAt(t, path, { maxPages: 60 })
  const usage = new UsageCollector({ store: ledger.usage, logger: new LogLines() })
  for (let n = 0; n < 3000; n++) usage.count(`10.0.${n >> 8}.${n & 255}`, `a model with a long name ${'x'.repeat(60)}`)
  await assert.rejects(usage.flush(), { code: 'ERR_LEDGER' })
  assert.equal(ledger.health().writable, false)
  await ledger.close()
  const roomy = await sqliteAt(t, path)
  const before = (await roomy.usage.read(TODAY)).length
  assert.equal(before % 200, 0, 'a batch is added whole, or not at all')
  assert.ok(before < 3000)
})
