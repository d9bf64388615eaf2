import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { type LifeStore, ReplicaLife, type SeenReplica } from '../../src/replicas/index.ts'
import { eventually } from '../kit/wait.ts'
import { LogLines } from '../ledger/ledgerKit.ts'

const TIMEOUT_MS = 10_000
/** The clock of the tests runs faster than that of the machine by this much, so that no beat comes of itself. */
const HASTE = 1000

test('a gateway is sure for eight tenths of the timeout from when its last acknowledged beat was sent', async (t) => {
  const { life, clock, store } = aLife(t)
  assert.equal(life.isSure, false)
  store.onBeat = () => (clock.now += 1000)
  await life.beat()
  clock.now += 6999
  assert.equal(life.isSure, true)
  clock.now += 1
  assert.equal(life.isSure, false)
  store.failure = 'AWAY'
  await life.beat()
  assert.equal(life.isSure, false)
  store.failure = undefined
  await life.beat()
  assert.equal(life.isSure, true)
})

test('a gateway whose number stands still for the whole timeout is buried, by the clock of the one who looks', async (t) => {
  const { life, clock, store } = aLife(t)
  const other = store.join('other')
  await life.beat()
  await beatFor(life, clock, 9999)
  assert.deepEqual(store.buried, [])
  clock.now += 1
  await life.beat()
  assert.deepEqual(store.buried, [['other', other.number]])
})

test('a gateway whose number moves, be it once in the timeout, is not buried', async (t) => {
  const { life, clock, store } = aLife(t)
  const other = store.join('other')
  await life.beat()
  for (let round = 0; round < 5; round++) {
    await beatFor(life, clock, 9000)
    other.number += 'x'
    await life.beat()
  }
  assert.deepEqual(store.buried, [])
})

test('after a gap in its own looking a gateway judges nobody by what was before', async (t) => {
  const { life, clock, store } = aLife(t)
  store.join('other')
  await life.beat()
  await beatFor(life, clock, 6000)
  // Stopped, or without the store.
  clock.now += 5001
  await life.beat()
  await beatFor(life, clock, 9999)
  assert.deepEqual(store.buried, [])
  clock.now += 1
  await life.beat()
  assert.equal(store.buried.length, 1)
})

test('an answer that comes late does not make another silent for longer', async (t) => {
  const { life, clock, store } = aLife(t)
  store.join('other')
  store.onBeat = () => (clock.now += 1500)
  await life.beat()
  store.onBeat = () => {}
  await beatFor(life, clock, 9999)
  assert.deepEqual(store.buried, [])
})

test('one that was buried is sure again only when its new life has beaten and its owner has claimed', async (t) => {
  const { life, store } = aLife(t)
  await life.beat()
  const former = life.self
  const claiming = Promise.withResolvers<void>()
  const lives: string[] = []
  life.attach({
    onNewLife: async (old) => {
      lives.push(old)
      assert.ok(store.beats.has(life.self), 'the new life has beaten')
      await claiming.promise
    },
    onHistoryLost: async () => {},
  })
  await store.bury(former)
  await life.beat()
  assert.notEqual(life.self, former)
  assert.equal(life.isSure, false)
  await life.beat()
  assert.equal(life.isSure, false)
  claiming.resolve()
  await eventually(() => life.isSure)
  assert.deepEqual(lives, [former])
})

test('one that is buried again while it claims claims from both its former lives', async (t) => {
  const { life, store } = aLife(t)
  await life.beat()
  const first = life.self
  const [claiming, lives] = [Promise.withResolvers<void>(), [] as string[]]
  life.attach({
    onNewLife: async (old) => {
      lives.push(old)
      if (lives.length === 1) await claiming.promise
    },
    onHistoryLost: async () => {},
  })
  await store.bury(first)
  await life.beat()
  const second = life.self
  await store.bury(second)
  await life.beat()
  claiming.resolve()
  await eventually(async () => {
    await life.beat()
    return life.isSure
  })
  assert.deepEqual(lives, [first, first, second])
})

test('a number that falls back shows that the store has lost what it had: it is written again before the owner puts the rest right', async (t) => {
  const { life, store } = aLife(t)
  const order: string[] = []
  const rights = Promise.withResolvers<void>()
  store.onWriteAgain = async () => void order.push('written again')
  life.attach({
    onNewLife: async () => {},
    onHistoryLost: async () => {
      order.push('put right')
      await rights.promise
    },
  })
  for (let beats = 0; beats < 5; beats++) await life.beat()
  store.beats.set(life.self, 3)
  await life.beat()
  assert.equal(life.isSure, false)
  await eventually(() => order.length === 2)
  assert.deepEqual(order, ['written again', 'put right'])
  assert.equal(life.isSure, false)
  rights.resolve()
  await eventually(() => life.isSure)
  assert.deepEqual(store.buried, [])
})

test('the number of a write shows it as well, unless the write was sent before a later one was acknowledged', async (t) => {
  const { life, store } = aLife(t)
  let losses = 0
  life.attach({ onNewLife: async () => {}, onHistoryLost: async () => void losses++ })
  await life.beat()
  const [early, late] = [life.mark(), life.mark()]
  life.acknowledge(3, late)
  life.acknowledge(2, early)
  assert.equal(life.isSure, true)
  life.acknowledge(3, life.mark())
  assert.equal(life.isSure, false)
  await eventually(() => life.isSure)
  assert.equal(losses, 1)
  store.beats.set(life.self, 3)
})

test('what could not be written again is tried at the next beat', async (t) => {
  const { life, store } = aLife(t)
  let tries = 0
  store.onWriteAgain = () => (++tries === 1 ? Promise.reject(new Error('away')) : Promise.resolve())
  for (let beats = 0; beats < 5; beats++) await life.beat()
  store.beats.set(life.self, 1)
  await life.beat()
  await eventually(() => tries === 1)
  assert.equal(life.isSure, false)
  await life.beat()
  await eventually(() => life.isSure)
  assert.equal(tries, 2)
})

test('of two stores after a split each gateway believes the one that it sees', async (t) => {
  const { life, store, clock } = aLife(t)
  const left = new TestStore()
  const other = aLifeOn(t, left, clock)
  await life.beat()
  await other.beat()
  left.join(life.self)
  store.join(other.self)
  for (let ms = 0; ms <= TIMEOUT_MS; ms += 1000) {
    clock.now += 1000
    await Promise.all([life.beat(), other.beat()])
  }
  assert.deepEqual([store.buried[0]?.[0], left.buried[0]?.[0]], [other.self, life.self])
  assert.deepEqual([life.isSure, other.isSure], [true, true])
  // The split is over: both see the one where `life` was buried.
  const former = life.self
  Object.assign(store, { beats: left.beats, gone: left.gone })
  await left.bury(former)
  await life.beat()
  assert.notEqual(life.self, former)
})

test('two beats without an answer, and the store is asked over a new connection', async (t) => {
  const { life, store } = aLife(t)
  store.failure = 'SILENT'
  await life.beat()
  assert.equal(store.renewals, 0)
  await life.beat()
  assert.equal(store.renewals, 1)
})

test('one that resigns leaves its jobs behind, and one that ends beats no more', async (t) => {
  const { life, store } = aLife(t)
  let lives = 0
  life.attach({ onNewLife: async () => void lives++, onHistoryLost: async () => {} })
  await life.beat()
  const former = life.self
  await life.resign()
  assert.deepEqual(store.buried, [[former, undefined]])
  assert.equal(life.isSure, true)
  assert.equal(lives, 0)
  await life.end()
  assert.deepEqual(store.buried[1], [life.self, undefined])
  await life.beat()
  assert.equal(store.beats.has(life.self), false)
  assert.equal(life.isSure, false)
})

test('a store is trusted from a beat that it took, until it refuses one or is reached over a new connection', async (t) => {
  const { life, clock, store } = aLife(t)
  assert.equal(life.isStoreTrusted, false)
  assert.equal(await life.trustsStore(), true)
  clock.now += 7999
  assert.equal(life.isStoreTrusted, true)
  clock.now += 1
  assert.equal(life.isStoreTrusted, false)
  await life.beat()
  store.failure = 'NOREPLICAS'
  await life.beat()
  assert.equal(life.isStoreTrusted, false)
  assert.equal(await life.trustsStore(), false)
  store.failure = undefined
  assert.equal(await life.trustsStore(), true)
  store.failure = 'AWAY'
  life.reconnected()
  assert.equal(life.isStoreTrusted, false)
  assert.equal(life.isSure, true)
})

test('a beat over the former connection says nothing of the store that is reached now', async (t) => {
  const { life } = aLife(t)
  await life.beat()
  const beating = life.beat()
  life.reconnected()
  await beating
  assert.equal(life.isStoreTrusted, false)
})

test('a store that has lost its latest changes is trusted once they were written again', async (t) => {
  const { life, store } = aLife(t)
  const writing = Promise.withResolvers<void>()
  store.onWriteAgain = () => writing.promise
  for (let beats = 0; beats < 5; beats++) await life.beat()
  store.beats.set(life.self, 1)
  assert.equal(await life.trustsStore(), true)
  await life.beat()
  assert.equal(await life.trustsStore(), false)
  writing.resolve()
  await eventually(() => life.isStoreTrusted)
})

test('a gateway that was buried trusts the store that says so', async (t) => {
  const { life, store } = aLife(t)
  await life.beat()
  life.attach({ onNewLife: () => new Promise(() => undefined), onHistoryLost: async () => {} })
  await store.bury(life.self)
  assert.equal(await life.trustsStore(), true)
  await life.beat()
  assert.equal(life.isStoreTrusted, true)
  assert.equal(life.isSure, false)
})

test('one that leaves says so with each beat', async (t) => {
  const { life, store } = aLife(t)
  await life.beat()
  await life.leave()
  assert.deepEqual(store.leaving, [false, true])
  assert.equal(life.isSure, true)
})

interface Clock {
  now: number
}

/** A store in memory, whose faults a test chooses. */
class TestStore implements LifeStore {
  beats = new Map<string, number>()
  gone = new Set<string>()
  readonly others: { replica: string; number: string }[] = []
  readonly buried: [string, string | undefined][] = []
  readonly leaving: boolean[] = []
  failure: string | undefined
  renewals = 0
  onBeat = (): unknown => undefined
  onWriteAgain = (): Promise<void> => Promise.resolve()

  /** Another gateway, whose number moves when a test moves it. */
  join(replica: string): { replica: string; number: string } {
    const other = { replica, number: '1' }
    this.others.push(other)
    return other
  }

  async beat(replica: string, isLeaving: boolean): ReturnType<LifeStore['beat']> {
    this.onBeat()
    if (this.failure) throw Object.assign(new Error(this.failure), { code: this.failure })
    if (this.gone.has(replica)) throw Object.assign(new Error('FENCED'), { code: 'FENCED' })
    this.leaving.push(isLeaving)
    const number = (this.beats.get(replica) ?? 0) + 1
    this.beats.set(replica, number)
    const own: SeenReplica = { replica, number: String(number), jobs: 0, state: 'alive' }
    return { number, replicas: [own, ...this.others.map((other) => ({ ...other, jobs: 0, state: 'alive' as const }))] }
  }

  async bury(replica: string, number?: string): Promise<void> {
    this.buried.push([replica, number])
    this.beats.delete(replica)
    this.gone.add(replica)
  }

  writeAgain(): Promise<void> {
    return this.onWriteAgain()
  }

  renewConnection(): void {
    this.renewals++
  }
}

function aLife(t: TestContext): { life: ReplicaLife; clock: Clock; store: TestStore } {
  const [clock, store] = [{ now: 1_000_000 }, new TestStore()]
  return { life: aLifeOn(t, store, clock), clock, store }
}

function aLifeOn(t: TestContext, store: TestStore, clock: Clock): ReplicaLife {
  const times = { timeoutMs: HASTE * TIMEOUT_MS, now: () => HASTE * clock.now, retryMs: HASTE * TIMEOUT_MS }
  const life = new ReplicaLife({ store, logger: new LogLines(), ...times })
  t.after(() => life.end())
  return life
}

/** Beats each second, and at the end. */
async function beatFor(life: ReplicaLife, clock: Clock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1000) {
    clock.now += Math.min(left, 1000)
    await life.beat()
  }
}
