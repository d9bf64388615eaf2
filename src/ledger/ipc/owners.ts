import { limitKeyOf } from '../../base/limitKey.ts'
import type { ReplicaState } from '../../replicas/index.ts'
import { unfinishedBytes, type JobRecord, type NewJob, type UnfinishedJob } from '../ledger.ts'
import type { HeldRoom, HubRoom } from './room.ts'

/** One life of a worker: a name that is never used again, and what it owns. */
export class Life {
  readonly name: string
  /** Room of submissions under way. */
  readonly held: HeldRoom = new Map()
  state: ReplicaState['state'] = 'alive'
  /** When it ended, monotonic ms. */
  goneAt: number | undefined
  /** Unfinished jobs in its name. */
  jobs = 0
  /** Receives the ids of jobs that are another life's now. */
  readonly onDisowned: (id: string) => void

  constructor(name: string, onDisowned: (id: string) => void = () => {}) {
    this.name = name
    this.onDisowned = onDisowned
  }
}

interface Owned {
  life: Life
  /** The caller's limit key. */
  readonly key: string
  /** Room that the job takes until it ends. */
  readonly bytes: number
  /** Bytes of the request that is kept with it. */
  readonly requestLength: number
  /** Whether it counts as one of its caller's unfinished jobs: a stream whose client left does not. */
  counts: boolean
}

/** Whose the unfinished jobs are, and the room that each of them takes. */
export class Owners {
  readonly #room: HubRoom
  readonly #owned = new Map<string, Owned>()

  constructor(room: HubRoom) {
    this.#room = room
  }

  lifeOf(id: string): Life | undefined {
    return this.#owned.get(id)?.life
  }

  /** Whether the job is unfinished and in the name of this life. */
  isOf(life: Life, id: string): boolean {
    return this.#owned.get(id)?.life === life
  }

  /** Ids of the jobs in the name of a life. */
  idsOf(name: string): string[] {
    const ids: string[] = []
    for (const [id, { life }] of this.#owned) if (life.name === name) ids.push(id)
    return ids
  }

  /** What a job keeps, where it is unfinished and in the name of this life. */
  bytesOf({ id, containers }: JobRecord, name: string): number | undefined {
    const owned = this.#owned.get(id)
    return owned?.life.name === name ? unfinishedBytes(containers, owned.requestLength) : undefined
  }

  /** Takes up a job that the ledger knew at the start. */
  restore(life: Life, { record, bytes }: UnfinishedJob): void {
    this.#add(life, record, { bytes, requestLength: bytes - unfinishedBytes(record.containers, 0) })
  }

  /** Makes new jobs a life's own, with the room that it had taken for them. One that has an owner keeps it. */
  insert(life: Life, jobs: readonly NewJob[]): NewJob[] {
    const added = jobs.filter(({ record }) => !this.#owned.has(record.id))
    for (const { record, request, room = 0 } of added) {
      this.#room.release(life.held, limitKeyOf(record.caller), { jobs: 1, bytes: room })
      this.#add(life, record, { bytes: room, requestLength: request?.length ?? 0 })
    }
    return added
  }

  /** Undoes `insert`: the room is again that of submissions under way. */
  undo(life: Life, jobs: readonly NewJob[]): void {
    for (const { record, room = 0 } of jobs) {
      const owner = this.lifeOf(record.id)
      if (!owner) continue
      this.remove(record.id)
      if (owner !== life) owner.onDisowned(record.id)
      if (life.state !== 'gone') this.#room.hold(life.held, limitKeyOf(record.caller), { jobs: 1, bytes: room })
    }
  }

  /** Gives jobs of one life to another; returns those that changed hands. */
  claim(from: string, life: Life, ids: readonly string[]): Set<string> {
    const won = new Set<string>()
    for (const id of ids) {
      const owned = this.#owned.get(id)
      if (owned?.life.name !== from || owned.life === life) continue
      const former = owned.life
      former.jobs--
      owned.life = life
      life.jobs++
      won.add(id)
      former.onDisowned(id)
    }
    return won
  }

  /** The client of a stream has left: the job is no longer one of its caller's. */
  markLeft(id: string): void {
    const owned = this.#owned.get(id)
    if (!owned?.counts) return
    owned.counts = false
    this.#room.add(owned.key, { jobs: -1, bytes: 0 })
  }

  /** A job has ended. */
  remove(id: string): void {
    const owned = this.#owned.get(id)
    if (!owned) return
    this.#owned.delete(id)
    owned.life.jobs--
    this.#room.add(owned.key, { jobs: owned.counts ? -1 : 0, bytes: -owned.bytes })
  }

  #add(life: Life, record: JobRecord, sizes: Pick<Owned, 'bytes' | 'requestLength'>): void {
    const key = limitKeyOf(record.caller)
    const counts = record.clientGone !== true
    this.#owned.set(record.id, { life, key, ...sizes, counts })
    life.jobs++
    this.#room.add(key, { jobs: counts ? 1 : 0, bytes: sizes.bytes })
  }
}
