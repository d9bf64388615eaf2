import type { Fleet } from '../fleet/index.ts'
import type { Selector } from '../dispatch/index.ts'
import type { Logger } from '../base/index.ts'
import type { Forwarder, Transport, Upstream } from '../upstream/index.ts'
import type { Askers } from './askers.ts'
import type { Idempotency } from './idempotency.ts'
import type { Ledger } from '../ledger/index.ts'
import type { LiveJobs } from './liveJobs.ts'
import type { StatesByHand } from './statesByHand.ts'
import type { NodeAsks } from './takeover/nodeAsks.ts'

/** What the job calls work with. */
export interface JobDeps {
  readonly fleet: Fleet
  readonly selector: Selector
  readonly upstream: Upstream
  readonly transport: Transport
  readonly forwarder: Forwarder
  readonly ledger: Ledger
  readonly live: LiveJobs
  readonly askers: Askers
  /** Whether nodes show us the jobs of other gateways, where several share the ledger. */
  readonly asks: NodeAsks
  readonly byHand: StatesByHand
  readonly idempotency: Idempotency
  readonly logger: Logger
  readonly maxBodyBytes: number
  readonly via: string
  /** Resolves once nodes are known, or rejects with ERR_NOT_READY. */
  readonly whenReady: () => Promise<void>
}

/** Paths at a node; also what cooldowns after a pushback are for. */
export const JOBS_PATH = '/api/jobs'
export const BATCH_PATH = '/api/jobs/batch'
export const STREAM_PATH = '/api/jobs/stream'
