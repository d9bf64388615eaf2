import type { NodeSpec } from '../address.ts'

/** Somewhere that lists backends. Calls `onList` with the whole list at first and whenever it changes. */
export interface NodeSource {
  readonly name: string
  /** Resolves when the first list has been delivered, or could not be had. */
  start(onList: (specs: readonly NodeSpec[]) => void): Promise<void>
  /** Reads the list again at once; sources whose list cannot change lack it. */
  reread?(): void
  stop(): void
}
