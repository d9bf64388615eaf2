/** Jobs that are followed, in a fleet whose list the test writes; at its addresses nobody listens. */
import type { Fleet } from '../../../src/fleet/fleet.ts'
import { Selector } from '../../../src/dispatch/selector.ts'
import { Askers } from '../../../src/jobs/askers.ts'
import { Failover } from '../../../src/jobs/follow/failover.ts'
import { Follower, type FollowerOptions } from '../../../src/jobs/follow/follower.ts'
import type { JobRecord, Ledger } from '../../../src/ledger/ledger.ts'
import { MemoryBudget } from '../../../src/base/memory/budget.ts'
import { MemoryLedger } from '../../../src/ledger/memory/ledger.ts'
import { Dispatcher } from '../../../src/dispatch/dispatcher.ts'
import { Upstream } from '../../../src/upstream/send.ts'
import { StatesByHand } from '../../../src/jobs/statesByHand.ts'
import { LiveJobs, type LiveJob } from '../../../src/jobs/liveJobs.ts'
import { Transport } from '../../../src/upstream/transport.ts'
import { ListedNodes, newFleet, TEST_IDENTITY } from '../../kit/builders/fleets.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { silentLogger as logger } from '../jobServer.ts'

export const JOB_TIMEOUT_SECONDS = 900

export interface Following {
  readonly fleet: Fleet
  readonly ledger: Ledger
  readonly live: LiveJobs
  readonly failover: Failover
  readonly askers: Askers
  readonly transport: Transport
  readonly memory: MemoryBudget
  readonly dispatcher: Dispatcher
  /** Replaces the list of addresses. */
  readonly list: (addresses: readonly string[]) => void
  /** Takes up jobs as after a restart. */
  readonly restored: (...records: readonly JobRecord[]) => Promise<LiveJob[]>
}

/** `now` tells monotonic seconds in place of the fleet's own; nobody is looked at unless `over` has a short period. */
export async function setUpFollowing(
  t: Cleanup,
  now?: () => number,
  over: Partial<FollowerOptions> = {},
): Promise<Following> {
  const source = new ListedNodes()
  const fleet = newFleet(t, [source], { refreshIntervalSeconds: 60, ...(now && { now }) })
  const ledger = over.ledger ?? new MemoryLedger({ maxBytes: 1e9, ttlMs: 1e9 })
  const transport = new Transport({ connectTimeoutSeconds: 1, answerTimeoutSeconds: 1, idleTimeoutSeconds: 1 })
  const selector = new Selector(fleet)
  const dispatcher = new Dispatcher(fleet, selector)
  const upstream = new Upstream(dispatcher, transport)
  const live = new LiveJobs(ledger, dispatcher)
  const memory = new MemoryBudget(1e9)
  const askers = new Askers(live, ledger.shared)
  const common = {
    askers,
    byHand: new StatesByHand(ledger),
    fleet,
    ledger,
    dispatcher,
    transport,
    upstream,
    live,
    memory,
    logger,
    identity: TEST_IDENTITY,
    via: TEST_IDENTITY.via,
    selector,
  }
  const failover = new Failover({ ...common, isEnabled: true, jobTimeoutSeconds: JOB_TIMEOUT_SECONDS })
  const follower = new Follower({ ...common, failover, periodSeconds: 60, maxResultBytes: 1e9, ...over })
  t.after(async () => {
    follower.stop()
    await transport.close()
    await ledger.close()
  })
  await fleet.start()
  return {
    ...{ fleet, ledger, live, failover, askers, transport, memory, dispatcher },
    list: (addresses) => source.list(...addresses),
    restored: async (...records) => {
      await ledger.insert(records.map((record) => ({ record, request: Buffer.from('{}') })))
      await live.restore()
      return records.map(({ id }) => live.find(id)!)
    },
  }
}
