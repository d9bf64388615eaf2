import { randomBytes } from 'node:crypto'
import type { ReplicaState } from '../../replicas/index.ts'
import type { Ledger } from '../ledger.ts'
import { HubBudgets } from './budgets.ts'
import { HubKeys } from './keys.ts'
import { HubNotes } from './notes.ts'
import { Life, Owners } from './owners.ts'
import { HubRoom } from './room.ts'
import { HubValues } from './values.ts'

/** What the members of a hub share, and their lives. */
export class SharedState {
  readonly ledger: Ledger
  readonly room = new HubRoom()
  readonly owners = new Owners(this.room)
  readonly keys: HubKeys
  readonly budgets = new HubBudgets()
  readonly values = new HubValues()
  readonly notes = new HubNotes()
  readonly #onChange: () => void
  readonly #lives = new Map<string, Life>()
  /** Names of an earlier process are never used again. */
  readonly #prefix = randomBytes(6).toString('hex')
  #lastLife = 0

  /** `onChange` is called when a life begins, is leaving, or is over. */
  constructor(ledger: Ledger, onChange: () => void) {
    this.ledger = ledger
    this.keys = new HubKeys(ledger)
    this.#onChange = onChange
  }

  begin(onDisowned?: (id: string) => void): Life {
    const life = new Life(`${this.#prefix}-${++this.#lastLife}`, onDisowned)
    this.#lives.set(life.name, life)
    this.#onChange()
    return life
  }

  /** The others may claim its jobs. */
  leave(life: Life): void {
    if (life.state !== 'alive') return
    life.state = 'leaving'
    this.#onChange()
  }

  /** A life is over: its jobs are orphans, what it held is free. */
  end(life: Life): void {
    if (life.state === 'gone') return
    life.state = 'gone'
    life.goneAt = performance.now()
    this.room.releaseAll(life.held)
    this.keys.releaseAll(life)
    this.#onChange()
  }

  /** All that live, and those that are gone and still own jobs. */
  get replicas(): ReplicaState[] {
    const states: ReplicaState[] = []
    const now = performance.now()
    for (const { name, jobs, state, goneAt } of this.#lives.values()) {
      if (state === 'gone' && jobs === 0) this.#lives.delete(name)
      else states.push({ replica: name, jobs, state, ...(goneAt !== undefined && { goneMs: now - goneAt }) })
    }
    return states
  }
}
