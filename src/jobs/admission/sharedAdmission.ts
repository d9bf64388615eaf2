import { GatewayFault } from '../../faults.ts'
import { limitKeyOf } from '../../base/index.ts'
import type { NoRoom, Room, RoomLimits, SharedRoom } from '../../replicas/index.ts'
import {
  type Admission,
  type AdmissionLimits,
  type JobsBound,
  callersBytes,
  tooLarge,
  tooManyBytes,
  tooManyJobs,
} from './admission.ts'

/** Counts in the store, over all gateways that share it: one round trip for each submission. */
export class SharedAdmission implements Admission {
  readonly #room: SharedRoom
  readonly #jobsOf: (caller: string) => JobsBound
  readonly #bytes: Pick<RoomLimits, 'bytesOfCaller' | 'bytesInAll'>

  constructor(room: SharedRoom, { jobsOf, maxBytes }: AdmissionLimits) {
    this.#room = room
    this.#jobsOf = jobsOf
    this.#bytes = { bytesOfCaller: callersBytes(maxBytes), bytesInAll: maxBytes }
  }

  async take(caller: string, wanted: Room): Promise<Room> {
    if (wanted.jobs === 0) return wanted
    const { bytesOfCaller } = this.#bytes
    if (wanted.bytes > bytesOfCaller) throw tooLarge(bytesOfCaller, wanted.bytes)
    const jobsBound = this.#jobsOf(caller)
    const limits = { jobsOfCaller: jobsBound.most, ...this.#bytes }
    const { life } = this.#room
    const refusal = await this.#room.take(limitKeyOf(caller), wanted, limits)
    if (refusal)
      throw refusal.reason === 'jobs' ? tooManyJobs(jobsBound, refusal.taken.jobs) : bytesFault(refusal, wanted, limits)
    return { ...wanted, life }
  }

  giveBack(caller: string, room: Room): void {
    if (room.jobs > 0) this.#room.giveBack(limitKeyOf(caller), room)
  }

  count(): void {
    // The store counts what is recorded in it.
  }
}

function bytesFault({ reason, taken }: NoRoom, { bytes }: Room, { bytesOfCaller }: RoomLimits): GatewayFault {
  if (reason === 'bytesOfCaller') return tooManyBytes(bytesOfCaller, taken.bytes, bytes)
  return new GatewayFault('ERR_LEDGER_FULL')
}
