import { GatewayFault } from '../../faults.ts'
import { limitKeyOf } from '../../base/index.ts'
import type { NoRoom, Room, RoomLimits, SharedRoom } from '../../replicas/index.ts'
import { type Admission, type AdmissionLimits, callersBytes, tooLarge, tooManyBytes, tooManyJobs } from './admission.ts'

/** Counts in the store, over all gateways that share it: one round trip for each submission. */
export class SharedAdmission implements Admission {
  readonly #room: SharedRoom
  readonly #limits: RoomLimits

  constructor(room: SharedRoom, { jobsOfCaller, maxBytes }: AdmissionLimits) {
    this.#room = room
    this.#limits = { jobsOfCaller, bytesOfCaller: callersBytes(maxBytes), bytesInAll: maxBytes }
  }

  async take(caller: string, wanted: Room): Promise<void> {
    if (wanted.jobs === 0) return
    const { bytesOfCaller } = this.#limits
    if (wanted.bytes > bytesOfCaller) throw tooLarge(bytesOfCaller, wanted.bytes)
    const refusal = await this.#room.take(limitKeyOf(caller), wanted, this.#limits)
    if (refusal) throw this.#faultOf(refusal, wanted)
  }

  giveBack(caller: string, room: Room): void {
    if (room.jobs > 0) this.#room.giveBack(limitKeyOf(caller), room)
  }

  count(): void {
    // The store counts what is recorded in it.
  }

  #faultOf({ reason, taken }: NoRoom, { bytes }: Room): GatewayFault {
    const { jobsOfCaller, bytesOfCaller } = this.#limits
    if (reason === 'jobs') return tooManyJobs(jobsOfCaller, taken.jobs)
    if (reason === 'bytesOfCaller') return tooManyBytes(bytesOfCaller, taken.bytes, bytes)
    return new GatewayFault('ERR_LEDGER_FULL')
  }
}
