/** What the operator says of a backend. */
export interface NodeCapacity {
  /** Jobs that it runs at once. */
  readonly concurrency?: number | undefined
  /** Divides the score: 2 draws about twice the load of 1. */
  readonly weight?: number | undefined
}
