import type { Call } from './wire.ts'

const MAX_GROUP_OPS = 500
/** Longest rest between two groups, ms. */
const LONGEST_REST_MS = 5
/** A single larger operation is a group by itself. */
const MAX_GROUP_BYTES = 8 * 1024 * 1024

/** When a call goes, and with what. */
export interface CallOptions {
  /** How long it may wait for others to share a commit with. */
  readonly patienceMs?: number
  /** About how many bytes its value has. */
  readonly replyBytes?: number
}

export interface QueuedCall extends Required<CallOptions> {
  readonly call: Call
  /** Bytes in its arguments. */
  readonly bytes: number
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

export interface LaneOptions {
  readonly send: SendCalls
  /**
   * A group leaves no sooner after the last one than so many times as long as that one took. Many small commits write several
   * times as much as a few large ones; with rests they become larger before they take all of the thread's time. Where calls are
   * few, none waits.
   */
  readonly restRatio: number
}

/** Sends calls to the thread; `bytes` is what is in their arguments. */
type SendCalls = (calls: Call[], bytes: number) => void

/**
 * Calls on their way to the thread, in the order in which they were made. A group of them leaves at once when none is under
 * way or has just been; what comes meanwhile goes together as the next one.
 */
export class CallLane {
  readonly #options: LaneOptions
  #queue: QueuedCall[] = []
  #underWay: QueuedCall[] = []
  #bytes = 0
  #timer: NodeJS.Timeout | undefined
  /** When the next group goes; on the clock of `performance.now`. */
  #dueAt = Infinity
  /** On the same clock. */
  #sentAt = 0
  #restsUntil = 0

  constructor(options: LaneOptions) {
    this.#options = options
  }

  /** Bytes in the arguments of calls that are not answered. */
  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#underWay.length === 0 && this.#queue.length === 0
  }

  add(call: QueuedCall): void {
    this.#queue.push(call)
    this.#bytes += call.bytes
    this.#schedule(call.patienceMs)
  }

  /** Ends the group under way, and sees to the next; returns its calls, which are to be settled. */
  answered(): readonly QueuedCall[] {
    const group = this.#underWay
    this.#underWay = []
    for (const { bytes } of group) this.#bytes -= bytes
    const now = performance.now()
    this.#restsUntil = now + Math.min(this.#options.restRatio * (now - this.#sentAt), LONGEST_REST_MS)
    const [next] = this.#queue
    if (next) this.#schedule(this.#queue.some((call) => call.patienceMs === 0) ? 0 : next.patienceMs)
    return group
  }

  /** Rejects all calls. */
  fail(error: Error): void {
    const calls = [...this.#underWay, ...this.#queue]
    this.#underWay = []
    this.#queue = []
    this.#bytes = 0
    for (const { reject } of calls) reject(error)
  }

  #schedule(patienceMs: number): void {
    if (this.#underWay.length > 0) return
    const now = performance.now()
    const dueAt = Math.max(now + patienceMs, this.#restsUntil)
    if (dueAt >= this.#dueAt) return
    this.#dueAt = dueAt
    clearTimeout(this.#timer)
    if (dueAt > now) this.#timer = setTimeout(this.#send, dueAt - now)
    // At the end of this turn, so that everything which it asks for shares the group.
    else setImmediate(this.#send)
  }

  readonly #send = (): void => {
    this.#dueAt = Infinity
    const group = this.#takeGroup()
    if (group.length === 0) return
    this.#underWay = group
    const calls = group.map(({ call }) => call)
    const bytes = group.reduce((sum, call) => sum + call.bytes, 0)
    this.#sentAt = performance.now()
    this.#options.send(calls, bytes)
  }

  #takeGroup(): QueuedCall[] {
    let bytes = 0
    let count = 0
    while (count < this.#queue.length && count < MAX_GROUP_OPS) {
      const call = this.#queue[count]!
      bytes += call.bytes + call.replyBytes
      if (count > 0 && bytes > MAX_GROUP_BYTES) break
      count++
    }
    return this.#queue.splice(0, count)
  }
}
