import type { KeptFile } from '../base/keptTexts.ts'

/** What can be summed over all workers; of usage, that it is written to the ledger. */
export type Subject = 'metrics' | 'stats' | 'usage'

/** What a worker needs to know before it starts. */
export interface Start {
  /** Whether the primary keeps the ledger; else each worker opens it itself. */
  readonly hasLedger: boolean
  /** Whether others serve already: then it listens when it knows its backends. */
  readonly isReplacement: boolean
  /** The gateway's entry in `Via`, the same for all workers. */
  readonly via: string
  /** The last good texts of files that workers before it have read. */
  readonly texts: Readonly<Partial<Record<KeptFile, string>>>
}

/** Besides the messages of the ledger, which are arrays. */
export type FromPrimary =
  | { readonly kind: 'start'; readonly start: Start }
  | { readonly kind: 'reread' }
  /** No new connections; end with the last request. */
  | { readonly kind: 'retire' }
  /** No new work; end within DRAIN_TIMEOUT. */
  | { readonly kind: 'drain' }
  /** To be answered at once: whether the worker's event loop goes on. */
  | { readonly kind: 'ping' }
  | { readonly kind: 'report'; readonly number: number; readonly subject: Subject }
  /** The answer to `sum`. */
  | { readonly kind: 'sum'; readonly number: number; readonly value: unknown }

export type FromWorker =
  | { readonly kind: 'listening'; readonly host: string; readonly port: number }
  | { readonly kind: 'failed'; readonly message: string; readonly stack: string | undefined }
  /** The answer to `ping`. */
  | { readonly kind: 'pong' }
  /** The answer to `report`. */
  | { readonly kind: 'reported'; readonly number: number; readonly value: unknown }
  | { readonly kind: 'sum'; readonly number: number; readonly subject: Subject }
  /** The text of a file that it has read and found good. */
  | { readonly kind: 'keep'; readonly file: KeptFile; readonly text: string }
  /** What it has counted when it ends. */
  | { readonly kind: 'last'; readonly metrics: unknown; readonly stats: unknown }
