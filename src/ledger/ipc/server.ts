import type { ReplicaState } from '../../replicas/index.ts'
import { bytesIn, pack, unpackApart } from '../packedBytes.ts'
import type { HubMember } from './member.ts'
import { OPERATIONS, type Context, type Name } from './operations.ts'
import type { Port } from './port.ts'
import { failureOf, healthRow, type Call, type Failure, type ToPrimary, type ToWorker } from './wire.ts'

type Operation = (context: Context, ...args: unknown[]) => unknown

/**
 * Does the calls of one worker, in the order in which they come, until its channel is closed: then the worker's life is over.
 * What one turn of the event loop has to say is one message.
 */
export class MemberServer {
  readonly #member: HubMember
  readonly #port: Port
  readonly #context: Context
  #numbers: number[] = []
  #values: unknown[] = []
  #failures: Failure[] = []
  #disowned: string[] = []
  #replicas: readonly ReplicaState[] | null = null
  /** The health that was sent last, as text. */
  #health = ''
  #isFlushing = false

  constructor(member: HubMember, port: Port) {
    this.#member = member
    this.#port = port
    this.#context = { member, received: new Map(), isClosed: false }
    member.membership.on('seen', (replicas) => {
      this.#replicas = replicas
      this.#flushSoon()
    })
    member.membership.on('disowned', (id) => {
      this.#disowned.push(id)
      this.#flushSoon()
    })
    port.listen(this.#receive, this.#close)
  }

  readonly #receive = (message: unknown): void => {
    const [calls] = unpackApart(message as ToPrimary)
    for (const call of calls) this.#do(call)
  }

  #do([number, name, ...args]: Call): void {
    // Started here and now: the order of calls is that of what they do.
    let value: unknown
    try {
      value = (OPERATIONS[name as Name] as Operation)(this.#context, ...args)
    } catch (error) {
      return this.#failed(number, error)
    }
    if (!(value instanceof Promise)) return this.#ended(number, value)
    value.then(
      (settled) => this.#ended(number, settled),
      (error: unknown) => this.#failed(number, error),
    )
  }

  #ended(number: number, value: unknown): void {
    if (number === 0) return
    this.#numbers.push(number)
    this.#values.push(value ?? null)
    this.#flushSoon()
  }

  #failed(number: number, error: unknown): void {
    if (number === 0) return
    this.#failures.push(failureOf(this.#numbers.length, error))
    this.#ended(number, null)
  }

  #flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isFlushing = false
    if (this.#context.isClosed) return
    const health = healthRow(this.#member.health())
    const text = health.join()
    const isNews = text !== this.#health
    this.#health = text
    const values = this.#values
    const message = pack(
      [this.#numbers, values, this.#failures, isNews ? health : null, this.#replicas, this.#disowned],
      bytesIn(values),
    ) satisfies ToWorker
    this.#numbers = []
    this.#values = []
    this.#failures = []
    this.#disowned = []
    this.#replicas = null
    this.#port.send(message)
  }

  readonly #close = (): void => {
    if (this.#context.isClosed) return
    this.#context.isClosed = true
    for (const { result } of this.#context.received.values()) result.drop()
    this.#context.received.clear()
    void this.#member.close()
  }
}
