import { EventEmitter } from 'node:events'
import type { Membership, MembershipEvents, ReplicaState } from '../../replicas/index.ts'
import type { SharedState } from './lives.ts'
import type { Life } from './owners.ts'

/** How one worker stands among the others. Nobody takes over its jobs while it lives, so it is always sure of them. */
export class HubMembership extends EventEmitter<MembershipEvents> implements Membership {
  readonly sharesAddress = true
  readonly #state: SharedState
  #life: Life

  constructor(state: SharedState) {
    super()
    this.#state = state
    this.#life = state.begin(this.disown)
  }

  get self(): string {
    return this.#life.name
  }

  get life(): Life {
    return this.#life
  }

  get isSure(): boolean {
    return this.#life.state !== 'gone'
  }

  get replicas(): readonly ReplicaState[] {
    return this.#state.replicas
  }

  /** An owner has nothing to do: no life ends unnoticed, and nothing that was written is lost. */
  attach(): void {}

  async leave(): Promise<void> {
    this.#state.leave(this.#life)
  }

  async resign(): Promise<void> {
    const former = this.#life
    if (former.state === 'gone') return
    this.#life = this.#state.begin(this.disown)
    this.#state.end(former)
    for (const id of this.#state.owners.idsOf(former.name)) this.disown(id)
  }

  tell(replicas: readonly ReplicaState[]): void {
    this.emit('seen', replicas)
  }

  end(): void {
    this.#state.end(this.#life)
  }

  /** A job is not this worker's own. */
  readonly disown = (id: string): void => void this.emit('disowned', id)
}
