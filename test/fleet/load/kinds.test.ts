import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_CONSTANTS } from '../../../src/fleet/load/constants.ts'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeKinds, WorkKinds, type WorkKind } from '../../../src/fleet/load/kinds.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'

const WIDE = { ...DEFAULT_CONSTANTS, concurrencyEvidenceJobs: Infinity }

function known(kinds: WorkKinds, name: string): WorkKind {
  const kind = kinds.find(name)
  assert.ok(kind, `nothing is known of ${name}`)
  return kind
}

function close(actual: number, expected: number, within = 0.1): void {
  assert.ok(Math.abs(actual / expected - 1) <= within, `${actual} is not near ${expected}`)
}

/** A node that is otherwise idle, and its clock. */
class Worker {
  readonly load: NodeLoad
  now = 0

  constructor(fleet: FleetLoad) {
    this.load = new NodeLoad(fleet)
  }

  /** Jobs one after the other; `secondsOf` names each job's seconds by its kind. */
  serve(rounds: number, secondsOf: Readonly<Record<string, number>>): void {
    for (let round = 0; round < rounds; round++) {
      for (const [kind, seconds] of Object.entries(secondsOf)) {
        const mark = this.load.started(this.now, kind)
        this.load.ended((this.now += seconds), { outcome: 'success', mark })
      }
    }
  }
}

test('a kind weighs what its jobs take, in mean jobs of the traffic', () => {
  const fleet = new FleetLoad(WIDE)
  new Worker(fleet).serve(1500, { small: 1, large: 10 })
  close(known(fleet.kinds, 'small').weight, 1 / 5.5)
  close(known(fleet.kinds, 'large').weight, 10 / 5.5)
  assert.equal(known(fleet.kinds, 'large').jobs, 1500)
})

test('of a kind of which few jobs have ended, little is believed', () => {
  const fleet = new FleetLoad(WIDE)
  const load = new Worker(fleet)
  load.serve(200, { usual: 1 })
  load.serve(1, { new: 100 })
  assert.ok(known(fleet.kinds, 'new').weight < 8)
})

test('a node that gets the large jobs does not look slow', () => {
  const fleet = new FleetLoad(WIDE)
  const [mixed, large, small] = [new Worker(fleet), new Worker(fleet), new Worker(fleet)]
  mixed.serve(1500, { small: 1, large: 10 })
  large.serve(1000, { large: 10 })
  small.serve(1000, { small: 1 })
  const times = large.load.serviceSeconds(large.now) / small.load.serviceSeconds(small.now)
  assert.ok(times > 0.67 && times < 1.5, `seems ${times} times as slow`)
})

test('a node that is slow at one kind is known to be', () => {
  const fleet = new FleetLoad(WIDE)
  const [one, other] = [new Worker(fleet), new Worker(fleet)]
  for (let turn = 0; turn < 30; turn++) {
    one.serve(10, { first: 1, second: 4 })
    other.serve(10, { first: 4, second: 1 })
  }
  const [first, second] = [known(fleet.kinds, 'first'), known(fleet.kinds, 'second')]
  assert.ok(one.load.learntFactor(first)! < 0.7 && one.load.learntFactor(second)! > 1.3)
  assert.ok(other.load.learntFactor(first)! > 1.3 && other.load.learntFactor(second)! < 0.7)
  assert.ok(one.load.score(one.now, first.weight, first) < other.load.score(other.now, first.weight, first))
  assert.ok(one.load.score(one.now, second.weight, second) > other.load.score(other.now, second.weight, second))
})

test('a slow node does not make its kind look large', () => {
  const fleet = new FleetLoad(WIDE)
  const [fast, slow] = [new Worker(fleet), new Worker(fleet)]
  for (let turn = 0; turn < 50; turn++) {
    fast.serve(10, { first: 1, second: 1 })
    slow.serve(10, { first: 8 })
  }
  close(known(fleet.kinds, 'first').weight, known(fleet.kinds, 'second').weight, 0.2)
})

test('the score is that of any job times the factor, and the kind counts as a hint at the cost', () => {
  const fleet = new FleetLoad(WIDE)
  const worker = new Worker(fleet)
  worker.serve(200, { small: 1, large: 9 })
  const { load } = worker
  const large = known(fleet.kinds, 'large')
  const [factor, seconds] = [load.learntFactor(large)!, load.serviceSeconds(5000)]
  const expected = factor * load.score(5000) + 0.5 * seconds * factor * (Math.sqrt(large.weight) - 1)
  close(load.score(5000, fleet.costRatioOf(undefined, large), large), expected, 1e-9)
  close(load.cachedScore(5000, large.weight, large), expected, 1e-9)
})

test("a client's own cost wins over the weight of the kind", () => {
  const fleet = new FleetLoad(WIDE)
  new Worker(fleet).serve(200, { small: 1, large: 9 })
  const large = known(fleet.kinds, 'large')
  assert.equal(fleet.costRatioOf(undefined, large), large.weight)
  assert.equal(fleet.costRatioOf(1, large), 1)
  assert.equal(fleet.costRatioOf(undefined, undefined), 1)
})

test('what is not served teaches nothing, nor do look-ups, nor jobs of an earlier run', () => {
  const fleet = new FleetLoad(WIDE)
  const load = new NodeLoad(fleet)
  for (const outcome of ['failure', 'pushback', 'cancelled'] as const) {
    load.ended(1, { outcome, mark: load.started(0, 'kind') })
  }
  load.lookedUp(1)
  load.polled(2, 1)
  load.ended(3, { outcome: 'success', mark: load.restored(2, 'kind') })
  assert.equal(fleet.kinds.size, 0)
})

test('a job of a known kind that began before the gateway did counts as its kind does', () => {
  const fleet = new FleetLoad(WIDE)
  const other = new NodeLoad(fleet)
  new Worker(fleet).serve(500, { small: 1, large: 10 })
  const { jobs, weight } = known(fleet.kinds, 'large')
  for (let job = 0; job < 100; job++) {
    const mark = other.restored(10 * job, 'large')
    other.ended(10 * job + 10, { outcome: 'success', mark })
  }
  assert.equal(known(fleet.kinds, 'large').jobs, jobs)
  close(other.serviceSeconds(1000), 10 / weight, 0.1)
})

test('the time between the end of a job and hearing of it is no service', () => {
  const fleet = new FleetLoad(WIDE)
  const load = new NodeLoad(fleet)
  for (let now = 0; now < 1200; now += 2) {
    const late = load.started(now, 'late')
    load.ended(now + 1, { outcome: 'success', lagSeconds: 0.5, mark: late })
    const prompt = load.started(now + 1, 'prompt')
    load.ended(now + 1.5, { outcome: 'success', mark: prompt })
  }
  close(known(fleet.kinds, 'late').weight, known(fleet.kinds, 'prompt').weight)
})

test('a node that comes back is taken to do as well at all kinds', () => {
  const fleet = new FleetLoad(WIDE)
  const [one, other] = [new Worker(fleet), new Worker(fleet)]
  for (let turn = 0; turn < 10; turn++) {
    one.serve(10, { first: 1, second: 4 })
    other.serve(10, { first: 4, second: 1 })
  }
  const first = known(fleet.kinds, 'first')
  const before = one.load.started(1000, 'first')
  one.load.recovered(1000)
  assert.equal(one.load.learntFactor(first), undefined)
  const { jobs } = first
  one.load.ended(5000, { outcome: 'success', mark: before })
  assert.equal(first.jobs, jobs)
})

test('kinds take a bounded memory: those whose last job ended longest ago are forgotten', () => {
  const kinds = new WorkKinds({ ...DEFAULT_CONSTANTS, kindMemoryBytes: 10_000 })
  const node = new NodeKinds(DEFAULT_CONSTANTS)
  kinds.ended('steady', node, 1)
  for (let kind = 0; kind < 1000; kind++) {
    kinds.ended(`kind ${kind}`, node, 1)
    if (kind % 5 === 0) kinds.ended('steady', node, 1)
    assert.ok(kinds.bytes <= 10_000)
  }
  assert.ok(kinds.size > 5)
  assert.ok(kinds.find('steady') && kinds.find('kind 999') && !kinds.find('kind 900'))
  kinds.ended('x'.repeat(10_000), node, 1)
  assert.ok(kinds.find('steady'))
})

test('many nodes that come and go do not fill the memory', () => {
  const kinds = new WorkKinds(DEFAULT_CONSTANTS)
  for (let turn = 0; turn < 10_000; turn++) {
    const node = new NodeKinds(DEFAULT_CONSTANTS)
    kinds.ended('kind', node, 1)
    node.isGone = true
  }
  assert.ok(kinds.bytes < 30_000, `${kinds.bytes} bytes`)
})

test('without memory for them no kinds are learnt', () => {
  const fleet = new FleetLoad({ ...WIDE, kindMemoryBytes: 0 })
  new Worker(fleet).serve(10, { small: 1, large: 10 })
  assert.equal(fleet.kinds.size, 0)
})
