import { Fifo } from './fifo.ts'

/*
 * Long work in slices, so that one request never holds up the others: every so often it waits for the next turn of the
 * event loop. All long work of the process takes turns: each turn of the loop runs one slice, however many requests have
 * work to do.
 */

/** Work that says where it may be interrupted. */
export type Steps<T> = Generator<undefined, T, undefined>

/**
 * Length of a slice, ms; the longest step between two checks comes on top of it. A short job passes through some ten turns of
 * the loop and waits for a slice in each: with 2 it takes half as long beside bodies of 20 MB as with 5, at the same cost.
 */
const SLICE_MS = 2

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

/** When the first work of the present turn began that might take long; 0 where none has. */
let turnStartedAt = 0

/** Many requests may be ready in one turn: together they have no more of it than one. */
function startOfTurn(): number {
  if (turnStartedAt === 0) {
    turnStartedAt = performance.now()
    setImmediate(forgetTurn)
  }
  return turnStartedAt
}

function forgetTurn(): void {
  turnStartedAt = 0
}

/** The time that work in slices has taken of the present turn. */
export class Slice {
  #startedAt = startOfTurn()

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

/** Does the work in slices; short work at once. */
export function nowOrInTurns<T>(steps: Steps<T>): T | Promise<T> {
  // Work of one step needs no measure.
  let slice: Slice | undefined
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    slice ??= new Slice()
    if (slice.isOver) return rest(steps, slice)
  }
}

async function rest<T>(steps: Steps<T>, slice: Slice): Promise<T> {
  for (;;) {
    if (slice.isOver) await slice.next()
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** `nowOrInTurns` with a promise for every outcome. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  return nowOrInTurns(steps)
}
