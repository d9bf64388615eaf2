import { Fifo } from './fifo.ts'

/*
 * Long work in slices, so that one request never holds up the others: every so often it waits for the next turn of the
 * event loop. All long work of the process takes turns: each turn of the loop runs one slice, however many requests have
 * work to do.
 */

/** Work that says where it may be interrupted. */
export type Steps<T> = Generator<undefined, T, undefined>

/** Length of a slice, ms. The longest step between two checks comes on top of it. */
const SLICE_MS = 8

/** Resumes of what waits for a turn. */
const waiting = new Fifo<() => void>()
let isScheduled = false

/** Resolves in a later turn of the event loop, which runs no other slice. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve)
    schedule()
  })
}

function schedule(): void {
  if (isScheduled) return
  isScheduled = true
  setImmediate(runOne)
}

function runOne(): void {
  isScheduled = false
  const resume = waiting.shift()
  if (waiting.size > 0) schedule()
  resume?.()
}

/** The time that one piece of work has taken of the present turn. */
export class Slice {
  #startedAt = performance.now()

  /** Whether the work should let others have the loop: then `await slice.next()`. */
  get isOver(): boolean {
    return performance.now() - this.#startedAt >= SLICE_MS
  }

  /** Waits for the next turn and begins a new slice in it. */
  async next(): Promise<void> {
    await nextTurn()
    this.#startedAt = performance.now()
  }
}

/** Does the work without a break. For work that is known to be short. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** Does the work in slices. Short work is done at once. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  const slice = new Slice()
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (slice.isOver) await slice.next()
  }
}
