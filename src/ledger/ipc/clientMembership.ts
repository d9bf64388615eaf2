import { EventEmitter } from 'node:events'
import type { Membership, MembershipEvents, ReplicaState } from '../../replicas/index.ts'
import type { Calls } from './calls.ts'

/** How a worker stands among the others, as the primary tells it. */
export class ClientMembership extends EventEmitter<MembershipEvents> implements Membership {
  readonly sharesAddress = true
  readonly #calls: Calls
  #self = ''
  #replicas: readonly ReplicaState[] = []
  #isEnded = false

  constructor(calls: Calls) {
    super()
    this.#calls = calls
  }

  begin(self: string, replicas: readonly ReplicaState[]): void {
    this.#self = self
    this.#replicas = replicas
  }

  get self(): string {
    return this.#self
  }

  /** The primary ends no life but that of a worker whose channel is closed. */
  get isSure(): boolean {
    return !this.#isEnded
  }

  get replicas(): readonly ReplicaState[] {
    return this.#replicas
  }

  /** An owner has nothing to do: no life ends unnoticed, and nothing that was written is lost. */
  attach(): void {}

  async leave(): Promise<void> {
    await this.#calls.call('leave', []).catch(() => {})
  }

  async resign(): Promise<void> {
    const self = await this.#calls.call('resign', []).catch(() => undefined)
    if (self !== undefined) this.#self = self
  }

  see(replicas: readonly ReplicaState[]): void {
    this.#replicas = replicas
    this.emit('seen', replicas)
  }

  disown(id: string): void {
    this.emit('disowned', id)
  }

  end(): void {
    this.#isEnded = true
  }
}
