/** The gateways that share the ledger; hidden where the gateway has one of its own. */

import type { Replicas } from './answers.ts'
import { byId, count } from './format.ts'
import { part, showColumnHeads, showRows, type TableColumn } from './parts.ts'

const REPLICA_STATES: Record<string, readonly [text: string, className: string]> = {
  alive: ['alive', 'state good'],
  leaving: ['leaving: it drains', 'state'],
  gone: ['gone: its jobs wait to be taken over', 'state bad'],
}

type ReplicaRow = readonly [name: string, note: string, state: string, jobs: string]

const REPLICA_COLUMNS: readonly TableColumn<ReplicaRow>[] = [
  { label: 'Gateway', show: ([name, note]) => [part(name, 'name'), ...(note ? [part(note, 'kind')] : [])] },
  { label: 'State', show: ([, , state]) => [part(...(REPLICA_STATES[state] ?? ([state, 'state'] as const)))] },
  { label: 'Unfinished jobs', show: ([, , , jobs]) => [part(jobs)], isNumber: true },
]

export function showReplicas(replicas: Replicas | undefined): void {
  byId('replicas-section').hidden = replicas === undefined
  if (replicas === undefined) return
  const rows = replicas.list.map(({ replica, state, jobs }): ReplicaRow => {
    return [replica, replica === replicas.self ? noteOnSelf(replicas) : '', state, count(jobs)]
  })
  showRows(byId('replicas'), REPLICA_COLUMNS, rows)
}

function noteOnSelf({ sure }: Replicas): string {
  return sure ? 'this one' : 'this one; it cannot tell at the moment whether others count it as dead'
}

export function showReplicaHeads(): void {
  showColumnHeads(byId('replica-heads'), REPLICA_COLUMNS)
}
