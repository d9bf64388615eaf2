/** How many requests an engine has, by its own count. */
export interface EngineCounts {
  /** Requests that it runs. */
  readonly running: number
  /** Requests that wait inside it. */
  readonly waiting: number
  /** It may show the same numbers for that long although they have changed, seconds; missing where it counts when it is asked. */
  readonly keptSeconds?: number | undefined
}

/** The load of the engine behind an OpenAI-compatible service, as its `/metrics` last showed it. */
export interface EngineLoad extends EngineCounts {
  /**
   * Our own requests that were in flight there at that poll. The engine counts at some moment between question and answer, so
   * this is the mean of both, which may be a half. While an engine may show kept numbers (`keptSeconds`), the most of our own
   * since it began to show them: they may date from then.
   */
  readonly own: number
  /** When the answer was read, monotonic seconds. */
  readonly at: number
}
