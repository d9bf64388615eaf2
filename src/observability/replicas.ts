import { Gauge, type Registry } from 'prom-client'
import type { Ledger } from '../ledger/ledger.ts'
import type { Membership, ReplicaState } from '../replicas/index.ts'

/** Most replicas that `/stats` lists. */
const MOST_REPLICAS = 200
const STATES: readonly ReplicaState['state'][] = ['alive', 'leaving', 'gone']

/** The gateways that share the ledger, as `/stats` shows them. */
export interface ReplicaStats {
  /** The name of this one in its present life. */
  readonly self: string
  /** Whether this one may speak for its jobs: no other can have taken them over. */
  readonly sure: boolean
  /** This one first, then those with the most jobs. */
  readonly list: readonly ReplicaState[]
}

/** What is known of the gateways that share the ledger; `undefined` where it is this one's alone. */
export function replicaStats({ shared }: Ledger): ReplicaStats | undefined {
  if (!shared) return undefined
  const { self, isSure, replicas } = shared.coordination.membership
  const rank = ({ replica, jobs }: ReplicaState): number => (replica === self ? Infinity : jobs)
  const ordered = [...replicas].sort((a, b) => rank(b) - rank(a) || (a.replica < b.replica ? -1 : 1))
  const list = ordered.slice(0, MOST_REPLICAS).map(({ replica, jobs, state }) => ({ replica, jobs, state }))
  return { self, sure: isSure, list }
}

/** Gauges of the gateways that share the ledger; none where it is this one's alone. No label names a replica: names never end. */
export function addReplicaGauges(registry: Registry, { shared }: Ledger): void {
  if (!shared) return
  const { membership } = shared.coordination
  const registers = [registry]
  new Gauge({
    name: 'infernet_gateway_replicas',
    help: 'Gateways that share the ledger, as this one sees them: alive, leaving, or gone and still with unfinished jobs',
    labelNames: ['state'],
    // All workers of a machine see the same ones.
    aggregator: 'max',
    registers,
    collect(): void {
      for (const state of STATES) this.set({ state }, inState(membership, state).length)
    },
  })
  new Gauge({
    name: 'infernet_gateway_replica_jobs',
    help: 'Unfinished jobs in the name of this gateway (owner="self"), of other living ones, and of those that are gone',
    labelNames: ['owner'],
    registers,
    collect(): void {
      const jobs = { self: 0, others: 0, gone: 0 }
      for (const one of membership.replicas) {
        jobs[one.replica === membership.self ? 'self' : one.state === 'gone' ? 'gone' : 'others'] += one.jobs
      }
      for (const [owner, count] of Object.entries(jobs)) this.set({ owner }, count)
    },
  })
  new Gauge({
    name: 'infernet_gateway_replica_sure',
    help: '1 while no other gateway can have taken over the jobs of this one',
    aggregator: 'min',
    registers,
    collect(): void {
      this.set(membership.isSure ? 1 : 0)
    },
  })
}

function inState({ replicas }: Membership, state: ReplicaState['state']): readonly ReplicaState[] {
  return replicas.filter((one) => one.state === state)
}
