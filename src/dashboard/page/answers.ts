/** What the page reads of the gateway's answers. */

/** `GET /health`. */
export interface Health {
  readonly status: string
  /** Whether only a part can be served. */
  readonly degraded: boolean
  readonly reason?: string
  /** `healthy/all`. */
  readonly healthy_services?: string
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
  readonly jobs: {
    readonly unfinished: number
    readonly recorded: number
    readonly kept_bytes: number
    readonly recordable: boolean
    readonly reason?: string
  }
  readonly fleet: { readonly service_time: number; readonly mean_latency: number }
  readonly image_conflicts: readonly ImageConflict[]
  /** Absent where the ledger is this gateway's alone. */
  readonly replicas?: Replicas
}

/** The gateways that share the ledger. */
export interface Replicas {
  /** The name of the one that answers. */
  readonly self: string
  /** Whether no other can have taken over its jobs. */
  readonly sure: boolean
  readonly list: readonly { readonly replica: string; readonly jobs: number; readonly state: string }[]
}

/** One node or service; times in seconds. */
export interface NodeStats {
  readonly name: string
  readonly kind: string
  readonly healthy: boolean
  readonly reason?: string
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
  readonly concurrency: number
  readonly score: number
  readonly failure_level: number
  readonly black_hole_suspicion: number
  readonly ejected_until: string | null
  /** Kinds of work that it does not get for now. */
  readonly avoided: readonly { readonly kind: string; readonly reason: string; readonly until: string }[]
}

/** A container id that stands for different images. */
export interface ImageConflict {
  readonly container: string
  /** Node names by image. */
  readonly images: Readonly<Record<string, readonly string[]>>
}
