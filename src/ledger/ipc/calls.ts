import { ledgerFault } from '../ledger.ts'
import { bytesIn, pack } from '../packedBytes.ts'
import type { Args, Name, Value } from './operations.ts'
import { errorOf, type Call, type Failure, type ToPrimary } from './wire.ts'

/** Bytes under way in both directions, as far as they can be told: more calls wait in the worker. */
const MAX_UNDER_WAY_BYTES = 32 * 1024 * 1024
/** A single larger call is a message by itself. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024
const MAX_MESSAGE_CALLS = 1000
/** More than this waiting means that the primary does not keep up; new jobs are then refused. */
const MAX_QUEUED_BYTES = 256 * 1024 * 1024

interface Pending {
  readonly bytes: number
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

interface Queued {
  readonly call: Call
  /** Bytes of its arguments. */
  readonly bytes: number
  /** The same, and those of the reply. */
  readonly bytesInAll: number
}

/** A worker's calls on their way to the primary, in the order in which they were made; those of one turn are one message. */
export class Calls {
  readonly #send: (message: ToPrimary) => void
  readonly #pending = new Map<number, Pending>()
  #queue: Queued[] = []
  #queuedBytes = 0
  #underWayBytes = 0
  #last = 0
  #isFlushing = false
  #refusal: Error | undefined

  constructor(send: (message: ToPrimary) => void) {
    this.#send = send
  }

  get isOverloaded(): boolean {
    return this.#queuedBytes > MAX_QUEUED_BYTES
  }

  /** `replyBytes`: about how many bytes the value has. */
  call<Of extends Name>(name: Of, args: Args<Of>, replyBytes = 0): Promise<Value<Of>> {
    return new Promise<Value<Of>>((resolve, reject) => {
      if (this.#refusal) return reject(this.#refusal)
      const number = ++this.#last
      const bytes = bytesIn(args)
      this.#pending.set(number, { bytes: bytes + replyBytes, resolve, reject })
      this.#add([number, name, ...args], bytes, bytes + replyBytes)
    })
  }

  /** A call without a reply. */
  post<Of extends Name>(name: Of, args: Args<Of>): void {
    if (!this.#refusal) this.#add([0, name, ...args], bytesIn(args), 0)
  }

  /** Takes the values of calls that have ended. */
  settle(numbers: readonly number[], values: readonly unknown[], failures: readonly Failure[]): void {
    const failed = new Map(failures.map((failure) => [failure[0], failure]))
    numbers.forEach((number, index) => {
      const pending = this.#pending.get(number)
      if (!pending) return
      this.#pending.delete(number)
      this.#underWayBytes -= pending.bytes
      const failure = failed.size > 0 ? failed.get(index) : undefined
      if (failure) pending.reject(errorOf(failure))
      else pending.resolve(values[index] as never)
    })
    if (this.#queue.length > 0) this.#flushSoon()
  }

  /** Rejects all calls, and all later ones. */
  fail(error: Error = ledgerFault('it is shutting down')): void {
    if (this.#refusal) return
    this.#refusal = error
    this.#queue = []
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }

  #add(call: Call, bytes: number, bytesInAll: number): void {
    this.#queue.push({ call, bytes, bytesInAll })
    this.#queuedBytes += bytes
    this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isFlushing = false
    for (;;) {
      const [calls, bytes] = this.#takeMessage()
      if (calls.length === 0) return
      this.#queuedBytes -= bytes
      this.#send(pack([calls], bytes))
    }
  }

  #takeMessage(): [calls: Call[], bytes: number] {
    let bytes = 0
    let count = 0
    while (count < this.#queue.length && count < MAX_MESSAGE_CALLS) {
      const next = this.#queue[count]!
      const isFirst = count === 0
      if (!isFirst && bytes + next.bytes > MAX_MESSAGE_BYTES) break
      if (this.#underWayBytes > 0 && this.#underWayBytes + next.bytesInAll > MAX_UNDER_WAY_BYTES) break
      this.#underWayBytes += next.bytesInAll
      bytes += next.bytes
      count++
    }
    return [this.#queue.splice(0, count).map(({ call }) => call), bytes]
  }
}
