import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { NoBackendAvailable } from '../../../src/dispatch/noBackend.ts'
import type { WorkMeter } from '../../../src/dispatch/workMeter.ts'
import type { Waited } from '../../../src/dispatch/queue/snapshot.ts'
import { GatewayFault } from '../../../src/faults.ts'
import type { TrackedNode } from '../../../src/fleet/node.ts'
import { exponential, seededRandom } from '../../kit/routingSimulation/random.ts'
import { end, QueueSite, settled, type Asked } from './site.ts'

const many = (caller: string, count: number): string[] => Array.from({ length: count }, () => caller)
const served = (asked: readonly Asked[]): string[] => asked.filter(({ lease }) => lease).map(({ caller }) => caller)

/** Ends the running requests one by one, oldest first; returns whose requests were served in the end, in their order. */
async function serveAll(
  site: QueueSite,
  asked: readonly Asked[],
  seconds: (caller: string) => number,
): Promise<string[]> {
  const order: string[] = []
  const open = new Set(asked)
  const seen = new Set<Asked>()
  for (;;) {
    await settled()
    for (const one of open) {
      if (!one.lease || seen.has(one)) continue
      seen.add(one)
      order.push(one.caller)
    }
    const [next] = [...seen].filter((one) => open.has(one))
    if (!next) return order
    open.delete(next)
    site.now += seconds(next.caller)
    end(next)
  }
}

describe('a request', () => {
  test('waits while its only backend is at its concurrency, and is served as soon as that has a place', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const asked = site.askAll(many('a', 3))
    await settled()
    assert.deepEqual([served(asked).length, site.queue.waiting], [1, 2])
    end(asked[0]!)
    await settled()
    assert.deepEqual([served(asked).length, site.queue.waiting, site.services[0]!.load.inFlight], [2, 1, 1])
  })

  test('of one caller is served in the order in which it came', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const asked = site.askAll(many('a', 5))
    for (const one of asked) {
      await settled()
      assert.deepEqual(
        asked.filter(({ lease }) => lease).length,
        asked.indexOf(one) + 1,
        'the next one in order is served',
      )
      end(one)
    }
  })

  test('never waits at a service without a limit', async () => {
    const site = new QueueSite({ services: [{}] })
    const asked = site.askAll(many('a', 100))
    await settled()
    assert.equal(served(asked).length, 100)
  })

  test('goes to the backend that has a place, also where another would be better', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }, { concurrency: 4 }] })
    const asked = site.askAll(many('a', 5))
    await settled()
    assert.deepEqual(
      site.services.map(({ load }) => load.inFlight),
      [1, 4],
    )
    assert.equal(site.queue.waiting, 0)
    assert.equal(served(asked).length, 5)
  })

  test('is not held up by those that ask for another model, however many wait', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }, { concurrency: 1, models: ['other'] }], size: 4 })
    site.askAll(many('a', 3))
    site.askAll(['b', 'c'])
    await settled()
    assert.equal(site.queue.waiting, 4)
    const other = site.ask('d', { model: 'other' })
    await settled()
    assert.ok(other.lease, 'an idle backend takes it although the queue is full')
  })

  test('that leaves while it waits takes its place in the queue along, and never gets one at a backend', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const [first, second, third] = site.askAll(many('a', 3)) as [Asked, Asked, Asked]
    await settled()
    second.leave(new GatewayFault('ERR_CLIENT_GONE'))
    await settled()
    assert.deepEqual([site.queue.waiting, (second.fault as GatewayFault).code], [1, 'ERR_CLIENT_GONE'])
    end(first)
    await settled()
    assert.ok(third.lease)
    assert.equal(second.lease, undefined)
  })

  test('for which there is no backend at all is refused at once', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const asked = site.ask('a', { model: 'unknown' })
    await settled()
    assert.ok(asked.fault instanceof NoBackendAvailable)
  })

  test('that waits when its last backend goes is not kept waiting', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const [, waiting] = site.askAll(many('a', 2)) as [Asked, Asked]
    await settled()
    site.fleet.nodes.clear()
    site.fleet.version++
    site.queue.tick()
    await settled()
    assert.ok(waiting.fault instanceof NoBackendAvailable)
    assert.equal(site.queue.waiting, 0)
  })

  test('waits for a backend that rests after a 429, if that is back in time', async () => {
    const site = new QueueSite({ services: [{ concurrency: 2 }], timeoutSeconds: 10 })
    site.services[0]!.coolDown('openai m a', site.now + 5, site.now)
    const [resting, other] = [site.ask('a'), site.ask('b')]
    await settled()
    assert.deepEqual([resting.lease, Boolean(other.lease)], [undefined, true])
    site.now += 5.1
    site.queue.tick()
    await settled()
    assert.ok(resting.lease)
    site.services[0]!.coolDown('openai m c', site.now + 30, site.now)
    const tooLong = site.ask('c')
    await settled()
    assert.ok((tooLong.fault as NoBackendAvailable).cooldownSeconds > 29)
  })

  test('whose backends rest is served by another one as soon as that is there', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }, { concurrency: 1 }] })
    const [one, two] = site.services as [TrackedNode, TrackedNode]
    two.health.observe(false)
    two.health.observe(false)
    two.health.observe(false)
    site.fleet.version++
    one.coolDown('openai m a', site.now + 30, site.now)
    const asked = site.ask('a')
    await settled()
    assert.deepEqual([Boolean(asked.lease), site.queue.waiting], [false, 1])
    two.health.observe(true)
    two.health.observe(true)
    site.fleet.version++
    site.fleet.emit('node:up', two)
    await settled()
    assert.equal(asked.lease?.node, two)
  })

  test('that returns to the queue goes where it was', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const running = site.ask('a')
    const [early, late] = site.askAll(many('a', 2)) as [Asked, Asked]
    await settled()
    const { turn } = early.request
    early.leave()
    await settled()
    const again = site.ask('a', { turn })
    end(running)
    await settled()
    assert.deepEqual([Boolean(again.lease), Boolean(late.lease)], [true, false])
  })

  test('is held up by no other request of its caller that came back from a backend', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }, { concurrency: 1 }] })
    const [one, two] = site.services as [TrackedNode, TrackedNode]
    const running = site.askAll(many('a', 2))
    await settled()
    const hindered = site.askAll(many('a', 3), { tried: new Set([two]) })
    const fresh = site.ask('a')
    await settled()
    end(running.find(({ lease }) => lease?.node === two)!)
    await settled()
    assert.equal(fresh.lease?.node, two)
    end(running.find(({ lease }) => lease?.node === one)!)
    await settled()
    assert.equal(hindered[0]!.lease?.node, one)
  })

  test('is held up by no other whose caller a backend has sent away', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }, { concurrency: 1 }] })
    const [one, two] = site.services as [TrackedNode, TrackedNode]
    const running = site.askAll(many('x', 2))
    await settled()
    two.coolDown('openai m a', site.now + 20, site.now)
    const resting = site.ask('a')
    const other = site.ask('b')
    await settled()
    end(running.find(({ lease }) => lease?.node === two)!)
    await settled()
    assert.equal(other.lease?.node, two)
    end(running.find(({ lease }) => lease?.node === one)!)
    await settled()
    assert.equal(resting.lease?.node, one)
  })

  test('gets the backend back that it could not reach, also while another is busy', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }, { concurrency: 1 }] })
    const [one, two] = site.services as [TrackedNode, TrackedNode]
    site.askAll(many('x', 2))
    await settled()
    site.queue.gates.of(two)
    const back = site.ask('a', { tried: new Set([two]), unreached: new Set([two]) })
    await settled()
    assert.equal(Boolean(back.lease), false)
    two.load.ended(site.now, { outcome: 'success' })
    site.queue.freed(two)
    await settled()
    assert.equal(back.lease?.node, two)
    assert.equal(one.load.inFlight, 1)
  })

  test('waits for as long as set, all its waits together, however long it was served in between', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], timeoutSeconds: 10 })
    site.ask('x')
    const first = site.ask('a')
    await settled()
    site.now += 4
    first.leave()
    await settled()
    site.now += 100
    const { turn } = first.request
    assert.equal(turn?.secondsLeft, 6)
    const again = site.ask('a', { turn })
    await settled()
    assert.deepEqual([again.fault, site.queue.waiting], [undefined, 1])
  })

  test('is held up by no other that cannot be served', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }, { concurrency: 1 }] })
    const [one, two] = site.services as [TrackedNode, TrackedNode]
    const running = site.askAll(many('a', 2))
    await settled()
    // The first in the queue were at the second backend before.
    const hindered = site.askAll(many('b', 2), { tried: new Set([two]) })
    const free = site.ask('c')
    await settled()
    end(running.find(({ lease }) => lease?.node === two)!)
    await settled()
    assert.equal(free.lease?.node, two)
    end(running.find(({ lease }) => lease?.node === one)!)
    await settled()
    assert.equal(hindered[0]!.lease?.node, one)
  })
})

describe('the room of the queue', () => {
  test('is for all: one caller holds no more places than are left for others', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], size: 10 })
    const asked = site.askAll(many('a', 20))
    await settled()
    assert.equal(site.queue.waiting, 5)
    const others = site.askAll(['b', 'b', 'b', 'b'])
    await settled()
    assert.equal(others.filter(({ fault }) => fault).length, 1)
    const { code, headers } = asked[19]!.fault as GatewayFault
    assert.equal(code, 'ERR_QUEUE_FULL')
    assert.ok(Number(headers?.['Retry-After']) >= 1)
  })

  test('counts the addresses of one IPv6 network as one caller', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], size: 10 })
    site.ask('a')
    const asked = Array.from({ length: 10 }, (_, n) => site.ask(`2001:db8::${n + 1}`))
    await settled()
    assert.equal(asked.filter(({ fault }) => fault).length, 5)
  })

  test('is all free again when all have left, even ten thousand', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], size: 20_000 })
    site.ask('first')
    await settled()
    const asked = Array.from({ length: 10_000 }, (_, n) => site.ask(`caller ${n % 100}`))
    await settled()
    assert.equal(site.queue.waiting, 10_000)
    for (const { leave } of asked) leave()
    await settled()
    assert.equal(site.queue.waiting, 0)
    assert.deepEqual(site.queue.snapshot().pools[0]!.priorities, { high: 0, normal: 0, low: 0 })
  })

  test('is no reason to refuse what an idle backend can take, although a busy one would be better', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }, { concurrency: 1 }], size: 1 })
    const [fast, slow] = site.services as [TrackedNode, TrackedNode]
    fast.load.configure({ concurrency: 1, weight: 100 })
    const asked = site.askAll(['a', 'b'])
    await settled()
    assert.equal(asked[0]!.lease?.node, fast)
    assert.deepEqual([Boolean(asked[1]!.lease), site.queue.waiting], [false, 1])
    const third = site.ask('c')
    await settled()
    assert.equal(third.lease?.node, slow)
  })

  test('keeps no long names that clients make up', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1, models: ['m', 'x'.repeat(2000)] }], size: 1 })
    const asked = site.askAll(many('a', 3), { model: 'x'.repeat(2000) })
    await settled()
    asked[1]!.leave()
    end(asked[0]!)
    await settled()
    assert.deepEqual(site.queue.snapshot().pools, [])
  })

  test('has those too that wait elsewhere for a backend that is away', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], size: 2 })
    const { request } = site.ask('a')
    const back = site.queue.waitElsewhere(request)
    assert.equal(site.queue.waiting, 1)
    assert.throws(() => site.queue.waitElsewhere(request), { code: 'ERR_QUEUE_FULL' })
    back()
    assert.equal(site.queue.waiting, 0)
  })

  test('tells a refused caller to come back about when one of its places there is free', async () => {
    const site = new QueueSite({ services: [{ concurrency: 2 }], size: 40 })
    const running = site.askAll(many('a', 22))
    await serveAll(site, running, () => 2)
    // Two places, four seconds each: half a request a second, all of this caller.
    const asked = site.askAll(many('a', 23))
    await settled()
    assert.equal(site.queue.waiting, 20)
    const seconds = Number((asked[22]!.fault as GatewayFault).headers?.['Retry-After'])
    assert.ok(seconds >= 2 && seconds <= 8, `${seconds} s`)
  })
})

describe('turns', () => {
  test('are as even as the work when requests differ and backends come and go, also after a long time', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const random = seededRandom(1)
    await serveAll(site, site.askAll(many('a', 300)), () => 1)
    const asked = ['a', 'b'].flatMap((caller) => site.askAll(many(caller, 150)))
    let n = 0
    const seconds = new Map([
      ['a', 0],
      ['b', 0],
    ])
    await serveAll(site, asked.slice(0), (caller) => {
      const took = exponential(random, ++n < 100 ? 1 : 3)
      if (n < 150) seconds.set(caller, seconds.get(caller)! + took)
      return took
    })
    const share = seconds.get('a')! / (seconds.get('a')! + seconds.get('b')!)
    assert.ok(Math.abs(share - 0.5) < 0.06, `${share}`)
  })

  test('go to the caller that has had the least work, not to the one that came first', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const asked = [...site.askAll(many('hog', 8)), ...site.askAll(many('light', 2))]
    const order = await serveAll(site, asked, () => 1)
    assert.ok(order.lastIndexOf('light') <= 5, order.join(' '))
  })

  test('weigh by what requests took, not by their number', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const asked = [...site.askAll(many('long', 40)), ...site.askAll(many('short', 40))]
    const order = await serveAll(site, asked, (caller) => (caller === 'long' ? 4 : 1))
    const early = order.slice(0, 40)
    const long = early.filter((caller) => caller === 'long').length
    assert.ok(long >= 6 && long <= 11, `${long} of 40 where a fifth was due`)
  })

  test('follow the weights of callers', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], weights: { one: 1, two: 2, four: 4 } })
    const asked = ['one', 'two', 'four'].flatMap((caller) => site.askAll(many(caller, 70)))
    const early = (await serveAll(site, asked, () => 1)).slice(0, 70)
    const counts = ['one', 'two', 'four'].map((caller) => early.filter((other) => other === caller).length)
    counts.forEach((count, index) => assert.ok(Math.abs(count - 10 * 2 ** index) <= 2, counts.join(' ')))
  })

  test('follow the shares of priorities, of which the lowest has its part', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const asked = (['high', 'normal', 'low'] as const).flatMap((priority) =>
      site.askAll(many(priority, 100), { priority }),
    )
    const early = (await serveAll(site, asked, () => 1)).slice(0, 100)
    const counts = ['high', 'normal', 'low'].map((caller) => early.filter((other) => other === caller).length)
    counts.forEach((count, index) => assert.ok(Math.abs(count - [60, 30, 10][index]!) <= 3, counts.join(' ')))
  })

  test('give no claim on the time in which a caller did not ask', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    await serveAll(site, site.askAll(many('busy', 50)), () => 1)
    const asked = [...site.askAll(many('busy', 20)), ...site.askAll(many('late', 20))]
    const early = (await serveAll(site, asked, () => 1)).slice(0, 20)
    const late = early.filter((caller) => caller === 'late').length
    assert.ok(late >= 8 && late <= 12, `${late} of 20`)
  })

  test('of models that share a backend are the same for each, however many wait', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1, models: ['m', 'n'] }] })
    const asked = [...site.askAll(many('m', 40)), ...site.askAll(many('n', 20), { model: 'n' })]
    const early = (await serveAll(site, asked, () => 1)).slice(0, 30)
    const n = early.filter((caller) => caller === 'n').length
    assert.ok(n >= 12 && n <= 18, `${n} of 30`)
  })

  test('come now and then also to a caller that lost requests, while others always wait', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    await serveAll(site, site.askAll(many('a', 5)), () => 1)
    const running = site.ask('a')
    await settled()
    const lost = site.askAll(many('x', 3))
    await settled()
    for (const { leave } of lost) leave()
    const patient = site.ask('x')
    await settled()
    site.now += 5
    const others = site.askAll(many('a', 30))
    const order = await serveAll(site, [running, patient, ...others], () => 1)
    assert.ok(order.indexOf('x') <= 12, order.join(' '))
  })

  test('are not lost by one absurd count of tokens', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    await serveAll(site, site.askAll(many('a', 20)), () => 1)
    const usage = (completionTokens: number): WorkMeter => ({
      usage: () => ({ promptTokens: 0, completionTokens }),
    })
    for (let n = 0; n < 10; n++) {
      const asked = site.ask('a')
      await settled()
      asked.lease!.meter = usage(10)
      site.now += 1
      end(asked)
    }
    const [liar, ...asked] = site.askAll(['a', ...many('a', 60)], { priority: 'normal' }) as [Asked, ...Asked[]]
    const low = site.askAll(many('low', 60), { priority: 'low' })
    await settled()
    liar.lease!.meter = usage(9_999_999)
    site.now += 1
    end(liar)
    const order = (await serveAll(site, [...asked, ...low], () => 1)).slice(0, 40)
    assert.ok(order.filter((caller) => caller === 'a').length >= 10, order.join(' '))
  })

  test('of a caller that loses requests go to the newest, those that wait patiently stay in order', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    await serveAll(site, site.askAll(many('a', 5)), () => 1)
    const running = site.ask('a')
    await settled()
    const lost = site.askAll(many('a', 8))
    await settled()
    for (const { leave } of lost) leave()
    await settled()
    const old = site.ask('a')
    await settled()
    site.now += 5
    const fresh = site.ask('a')
    await settled()
    end(running)
    await settled()
    assert.deepEqual([Boolean(old.lease), Boolean(fresh.lease)], [false, true])
  })
})

describe('what waits', () => {
  test('is shown by pool and caller, the next one first', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], weights: { b: 2 } })
    site.askAll(['a', 'a', 'b'])
    await settled()
    site.now += 2
    const { waiting, limit, pools } = site.queue.snapshot()
    assert.deepEqual([waiting, limit, pools.length], [2, 1000, 1])
    const [pool] = pools
    assert.deepEqual([pool!.name, pool!.waiting, pool!.longestWaitSeconds, pool!.idlePlaces], ['model m', 2, 2, 0])
    assert.deepEqual(pool!.priorities, { high: 0, normal: 2, low: 0 })
    const [next, after] = pool!.callers
    assert.deepEqual([next!.caller, next!.weight, next!.waiting, next!.running], ['a', 1, 1, 1])
    assert.deepEqual([after!.caller, after!.weight, after!.waiting, after!.running], ['b', 2, 1, 0])
  })

  test('is reported once, when its wait has ended', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], size: 3 })
    const told: Waited[] = []
    site.queue.on('waited', (waited) => told.push(waited))
    const asked = site.askAll(['a', 'b', 'c', 'c'])
    await settled()
    site.now += 2
    asked[1]!.leave()
    end(asked[0]!)
    await settled()
    assert.deepEqual(
      told.map(({ caller, seconds, end: how }) => [caller, seconds, how]),
      [
        ['c', 0, 'refused'],
        ['b', 2, 'left'],
        ['c', 2, 'placed'],
      ],
    )
  })

  test('is refused when the gateway ends', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }] })
    const asked = site.askAll(['a', 'b', 'c'])
    await settled()
    site.queue.close()
    await settled()
    const late = site.ask('d')
    await settled()
    for (const { fault } of [...asked.slice(1), late]) assert.equal((fault as GatewayFault).code, 'ERR_DRAINING')
    assert.equal(site.queue.waiting, 0)
  })

  test('is timed out after the time set, with a word on when to come back', async () => {
    const site = new QueueSite({ services: [{ concurrency: 1 }], timeoutSeconds: 0.05 })
    const asked = site.askAll(['a', 'a'])
    const ended = once(site.queue, 'waited')
    const keptAlive = setInterval(() => {}, 1000)
    await ended
    clearInterval(keptAlive)
    await settled()
    const { code, headers } = asked[1]!.fault as GatewayFault
    assert.equal(code, 'ERR_QUEUE_TIMEOUT')
    assert.ok(Number(headers?.['Retry-After']) >= 1)
  })
})
