export interface QueueOptions {
  /** Requests that may wait. */
  readonly size: number
  /** How long they wait, seconds. */
  readonly timeoutSeconds: number
  /** A caller's share among those that wait for the same. Read anew each time. */
  readonly weightOf: (caller: string) => number
}
