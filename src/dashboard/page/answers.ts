/** What the page reads of the gateway's answers. */

/** `GET /health`. */
export interface Health {
  readonly status: string
  /** Whether only a part can be served. */
  readonly degraded: boolean
  readonly reason?: string
  /** `healthy/all`. */
  readonly healthy_services?: string
  /** By the gateway's clock. */
  readonly timestamp?: string
}

/** `GET /stats`. */
export interface Stats {
  readonly version: string
  /** Seconds. */
  readonly uptime: number
  readonly total_services: number
  readonly healthy_services: number
  readonly running_requests: number
  readonly services: readonly NodeStats[]
  readonly activity: Activity
  readonly models: readonly ModelRow[]
  readonly containers: readonly ContainerRow[]
  /** Null where requests never wait. */
  readonly queue?: Queue | null
  readonly jobs: {
    readonly unfinished: number
    readonly recorded: number
    readonly kept_bytes: number
    readonly recordable: boolean
    readonly reason?: string
  }
  readonly image_conflicts: readonly ImageConflict[]
  /** Lines of files that were skipped. */
  readonly bad_lines?: readonly BadLine[]
  readonly bad_lines_total?: number
  /** Absent where the ledger is this gateway's alone. */
  readonly replicas?: Replicas
}

/** Requests that wait for a place at a backend; times in seconds. */
export interface Queue {
  readonly waiting: number
  readonly limit: number
  /** The longest queue first. */
  readonly pools: readonly QueuePool[]
}

/** Requests that ask for the same. */
export interface QueuePool {
  readonly name: string
  readonly waiting: number
  readonly longest_wait: number
  /** Free at its backends while requests wait. */
  readonly idle_places: number
  readonly priorities: { readonly high: number; readonly normal: number; readonly low: number }
  /** 1 where all that wait got the same lately. */
  readonly fairness: number | null
  /** The next one first; then those of which nothing waits. */
  readonly callers: readonly QueueCaller[]
}

export interface QueueCaller {
  readonly caller: string
  readonly priority: string
  readonly weight: number
  readonly waiting: number
  readonly running: number
  readonly longest_wait: number
  readonly recent_work: number
  /** Part of its requests that left or timed out. */
  readonly loss_ratio: number
}

/** The last 15 minutes by period, the oldest first; the last period is not over yet. */
export interface Activity {
  readonly period_seconds: number
  readonly newest_seconds: number
  readonly counted_seconds: number
  readonly succeeded: readonly number[]
  readonly refused: readonly number[]
  readonly failed: readonly number[]
  readonly left: readonly number[]
  readonly jobs_succeeded: readonly number[]
  readonly jobs_failed: readonly number[]
  readonly jobs_rerun: readonly number[]
  /** Seconds. */
  readonly p50: readonly (number | null)[]
  readonly p95: readonly (number | null)[]
  readonly p50_of_all: number | null
  readonly p95_of_all: number | null
  readonly faults: Readonly<Record<string, FaultCounts>>
}

interface FaultCounts {
  /** Whose it is: `client`, `gateway`, `upstream`. */
  readonly source: string
  readonly meaning: string
  readonly counts: readonly number[]
}

/** What was asked for in the last 15 minutes; times in seconds. */
interface WorkRow {
  /** Null: all others together. */
  readonly name: string | null
  readonly requests: number
  readonly refused: number
  readonly failed: number
  readonly first_byte_p50: number | null
  readonly first_byte_p95: number | null
}

/** How prompt caches were used in the last 15 minutes; null where nothing is known. */
interface CacheFigures {
  /** Of prompt tokens. */
  readonly cache_hit_rate: number | null
  /** Of requests. */
  readonly warm_share: number | null
  /** Seconds. */
  readonly first_token_p50: number | null
}

export interface ModelRow extends WorkRow, CacheFigures {
  readonly prompt_tokens: number
  readonly completion_tokens: number
}

export interface ContainerRow extends WorkRow {
  readonly jobs_succeeded: number
  readonly jobs_failed: number
  readonly jobs_rerun: number
}

/** The gateways that share the ledger. */
export interface Replicas {
  /** The name of the one that answers. */
  readonly self: string
  /** Whether no other can have taken over its jobs. */
  readonly sure: boolean
  readonly list: readonly { readonly replica: string; readonly jobs: number; readonly state: string }[]
}

/** One node or service; times in seconds. Only services have figures of caches. */
export interface NodeStats extends Partial<CacheFigures> {
  readonly name: string
  readonly kind: string
  readonly healthy: boolean
  readonly several_nodes: boolean
  readonly containers?: readonly string[]
  readonly models?: readonly string[]
  readonly request_count: number
  readonly error_count: number
  readonly response_time: number
  readonly in_flight: number
  readonly pending: number
  readonly unfinished: number
  readonly load: number
  readonly service_time: number
  /** `learnt`, `fleet` (its mean) or `default`. */
  readonly service_time_from: string
  readonly concurrency: number
  /** `set`, `learnt` or `default`. */
  readonly concurrency_from: string
  readonly score: number
  readonly down_since: string | null
  readonly last_asked: string | null
  /** Why it gets less work than others, or none. */
  readonly why_avoided: readonly { readonly cause: string; readonly text: string; readonly until: string | null }[]
  /** `draining` or `drained`; null where it is neither. */
  readonly drain?: string | null
}

/** A container id that stands for different images. */
export interface ImageConflict {
  readonly container: string
  /** Node names by image. */
  readonly images: Readonly<Record<string, readonly string[]>>
}

/** A line or entry of a file that was skipped. */
export interface BadLine {
  /** The setting that names the file. */
  readonly setting: string
  readonly line: number | null
  readonly entry: string | null
  readonly reason: string
}
