/** Callers and kinds of which a run is remembered; past this the ended ones are dropped, then the oldest. */
const MOST_RUNS = 2000

/** What a run added to the counts of one backend; taken out again if it turns out to say nothing. */
export interface Added {
  takeOut(refusals: number): void
}

/**
 * Refusals of one caller and kind of work that belong together. A caller with bad input is refused wherever it goes, so
 * from the moment a run spans two backends it says nothing of either.
 */
export class Run<S extends Added> {
  lastAt = -Infinity
  /** Until when, monotonic seconds, refusals of this caller say nothing; also after the run has ended. */
  mutedUntil = -Infinity
  #isOver = false
  readonly #added = new Map<S, number>()
  #first: S | undefined
  #spans = false

  get isOver(): boolean {
    return this.#isOver
  }

  /** The caller was served. */
  end(): void {
    this.#isOver = true
  }

  /** Takes the next refusal. Returns whether it counts against the backend. */
  refused(suspect: S, now: number, muteSeconds: number): boolean {
    this.lastAt = now
    this.#first ??= suspect
    if (suspect !== this.#first && !this.#spans) this.#span()
    if (this.#spans) this.mutedUntil = now + muteSeconds
    if (now < this.mutedUntil) return false
    this.#added.set(suspect, (this.#added.get(suspect) ?? 0) + 1)
    return true
  }

  #span(): void {
    this.#spans = true
    for (const [suspect, refusals] of this.#added) suspect.takeOut(refusals)
    this.#added.clear()
  }
}

/** The runs under way, by caller and kind of work. */
export class Runs<S extends Added> {
  readonly #seconds: number
  readonly #runs = new Map<string, Run<S>>()

  /** @param seconds the longest gap within a run, and for how long one that spans two backends mutes its caller */
  constructor(seconds: number) {
    this.#seconds = seconds
  }

  /**
   * A backend refused a caller. Returns the run that the refusal belongs to, and whether it counts against the backend.
   *
   * @param sameRequest the run of this request's earlier tries, which are one run however long they take
   */
  refused(
    kind: string,
    caller: string,
    suspect: S,
    now: number,
    sameRequest: Run<S> | undefined,
  ): { run: Run<S>; counts: boolean } {
    const key = keyOf(kind, caller)
    const last = this.#runs.get(key)
    const continues = last !== undefined && !last.isOver && now - last.lastAt <= this.#seconds
    const run = sameRequest ?? (continues ? last : new Run<S>())
    if (run !== last) this.#remember(key, run, last, now)
    return { run, counts: run.refused(suspect, now, this.#seconds) }
  }

  /** The caller was served: what is refused afterwards is another run. */
  served(kind: string, caller: string): void {
    if (this.#runs.size > 0) this.#runs.get(keyOf(kind, caller))?.end()
  }

  #remember(key: string, run: Run<S>, last: Run<S> | undefined, now: number): void {
    if (last) run.mutedUntil = Math.max(run.mutedUntil, last.mutedUntil)
    if (!last && this.#runs.size >= MOST_RUNS) this.#makeRoom(now)
    this.#runs.delete(key)
    this.#runs.set(key, run)
  }

  #makeRoom(now: number): void {
    for (const [key, { lastAt, mutedUntil }] of this.#runs) {
      if (now - lastAt > this.#seconds && now >= mutedUntil) this.#runs.delete(key)
    }
    const [oldest] = this.#runs.keys()
    if (this.#runs.size >= MOST_RUNS && oldest !== undefined) this.#runs.delete(oldest)
  }
}

function keyOf(kind: string, caller: string): string {
  return `${kind}\n${caller}`
}
