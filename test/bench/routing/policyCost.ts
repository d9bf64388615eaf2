/** Prints what the routing policy costs: `node test/bench/routing/policyCost.ts`. */
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import { rank } from '../../../src/dispatch/policies/ranking.ts'
import { lowestScore } from '../../../src/dispatch/policies/selection.ts'
import { seededRandom } from '../../kit/routingSimulation/random.ts'

const random = seededRandom(1)
const KINDS = ['containers:small', 'containers:large']

/** Nodes in all states that cost time: with work of our own, unseen load that drains, and a learnt service time. */
function busyFleet(size: number): { fleet: FleetLoad; nodes: { load: NodeLoad }[] } {
  const fleet = new FleetLoad()
  const nodes = Array.from({ length: size }, () => ({ load: new NodeLoad(fleet) }))
  for (const { load } of nodes) {
    load.polled(1, 3)
    load.lookedUp(2)
    const marks = Array.from({ length: 5 }, (_, job) => load.started(3 + job, KINDS[job % 2]))
    for (const mark of marks.slice(0, 2)) load.ended(9 + random(), { outcome: 'success', mark })
    if (random() < 0.1) load.failed(10)
  }
  return { fleet, nodes }
}

/** CPU microseconds per call, whatever else the machine does; the clock goes on by `stepSeconds` each time. */
function microseconds(name: string, calls: number, stepSeconds: number, run: (now: number) => unknown): void {
  let now = 20
  for (let call = 0; call < calls / 4; call++) run((now += stepSeconds))
  const before = process.cpuUsage()
  for (let call = 0; call < calls; call++) run((now += stepSeconds))
  const each = process.cpuUsage(before).user / calls
  process.stdout.write(`${name.padEnd(44)} ${each.toFixed(3)} µs\n`)
}

{
  const { fleet, nodes } = busyFleet(20)
  const load = nodes[0]!.load
  microseconds('started + ended', 1_000_000, 1e-4, (now) => {
    load.ended(now, { outcome: 'success', mark: load.started(now) })
  })
  microseconds('the same, of a kind of work', 1_000_000, 1e-4, (now) => {
    load.ended(now, { outcome: 'success', mark: load.started(now, KINDS[1]) })
  })
  microseconds('score of one node', 2_000_000, 1e-4, (now) => load.score(now))
  for (const size of [3, 20]) {
    const few = nodes.slice(0, size)
    microseconds(`pick among ${size}`, 300_000, 1e-4, (now) => lowestScore(few, { now, fleet, random }))
    microseconds(`pick among ${size}, of a kind of work`, 300_000, 1e-4, (now) => {
      const kind = fleet.kinds.find(KINDS[1])
      const costRatio = fleet.costRatioOf(undefined, kind)
      return lowestScore(few, { now, fleet, random, costRatio, kind })
    })
  }
}
for (const size of [100, 1000, 10_000]) {
  const { fleet, nodes } = busyFleet(size)
  microseconds(`pick among ${size}`, 20_000, 1e-3, (now) => lowestScore(nodes, { now, fleet, random }))
  microseconds(`rank the best 3 of ${size}`, 2_000, 1e-2, (now) => rank(nodes, { now, fleet, random }, 3))
  microseconds(`rank the best 3 of ${size}, of a kind of work`, 2_000, 1e-2, (now) => {
    const kind = fleet.kinds.find(KINDS[1])
    return rank(nodes, { now, fleet, random, kind, costRatio: fleet.costRatioOf(undefined, kind) }, 3)
  })
  microseconds(`rank all ${size}`, 200, 1e-2, (now) => rank(nodes, { now, fleet, random }, size))
}
