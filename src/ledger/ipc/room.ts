import type { NoRoom, Room, RoomLimits } from '../../replicas/index.ts'

/** What one life of a worker holds for submissions under way, by limit key. */
export type HeldRoom = Map<string, Room>

const NOTHING: Room = { jobs: 0, bytes: 0 }

/** What unfinished jobs and submissions under way take, over all workers. */
export class HubRoom {
  readonly #taken = new Map<string, Room>()
  #bytes = 0

  /** Takes room for submissions under way: all of it, or none. */
  take(held: HeldRoom, key: string, wanted: Room, limits: RoomLimits): NoRoom | undefined {
    const taken = this.#taken.get(key) ?? NOTHING
    const { jobsOfCaller, bytesOfCaller, bytesInAll } = limits
    if (jobsOfCaller > 0 && taken.jobs + wanted.jobs > jobsOfCaller) return { reason: 'jobs', taken }
    if (wanted.bytes > 0 && taken.bytes + wanted.bytes > bytesOfCaller) return { reason: 'bytesOfCaller', taken }
    if (wanted.bytes > 0 && this.#bytes + wanted.bytes > bytesInAll) return { reason: 'bytesInAll', taken }
    this.hold(held, key, wanted)
    return undefined
  }

  /** Counts room of a submission under way. */
  hold(held: HeldRoom, key: string, room: Room): void {
    addTo(held, key, room)
    this.add(key, room)
  }

  /** Ends the holding of room, as far as it is held. */
  release(held: HeldRoom, key: string, room: Room): void {
    const { jobs, bytes } = held.get(key) ?? NOTHING
    const released = { jobs: -Math.min(jobs, room.jobs), bytes: -Math.min(bytes, room.bytes) }
    addTo(held, key, released)
    this.add(key, released)
  }

  /** A life has ended, and its submissions with it. */
  releaseAll(held: HeldRoom): void {
    for (const [key, room] of [...held]) this.release(held, key, room)
  }

  add(key: string, room: Room): void {
    addTo(this.#taken, key, room)
    this.#bytes += room.bytes
  }
}

function addTo(rooms: Map<string, Room>, key: string, room: Room): void {
  const before = rooms.get(key) ?? NOTHING
  const jobs = before.jobs + room.jobs
  const bytes = before.bytes + room.bytes
  if (jobs === 0 && bytes === 0) rooms.delete(key)
  else rooms.set(key, { jobs, bytes })
}
