import { GatewayFault } from '../../faults.ts'
import { limitKeyOf } from '../../base/index.ts'
import type { Room } from '../../replicas/index.ts'
import { type Admission, type AdmissionLimits, callersBytes, tooLarge, tooManyBytes, tooManyJobs } from './admission.ts'

/** Counts in this process, which has its ledger to itself. */
export class LocalAdmission implements Admission {
  readonly #limits: AdmissionLimits
  readonly #jobsOf = new Map<string, number>()
  readonly #bytesOf = new Map<string, number>()
  #bytes = 0

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
  }

  take(caller: string, wanted: Room): Room {
    const { jobsOf, maxBytes } = this.#limits
    const bound = jobsOf(caller)
    const { most } = bound
    const key = limitKeyOf(caller)
    const jobs = this.#jobsOf.get(key) ?? 0
    if (most > 0 && jobs + wanted.jobs > most) throw tooManyJobs(bound, jobs)
    const bytes = this.#bytesOf.get(key) ?? 0
    const limit = callersBytes(maxBytes)
    if (wanted.bytes > limit) throw tooLarge(limit, wanted.bytes)
    if (bytes + wanted.bytes > limit) throw tooManyBytes(limit, bytes, wanted.bytes)
    if (this.#bytes + wanted.bytes > maxBytes) throw new GatewayFault('ERR_LEDGER_FULL')
    this.#add(key, wanted.jobs, wanted.bytes)
    return wanted
  }

  giveBack(caller: string, { jobs, bytes }: Room): void {
    this.#add(limitKeyOf(caller), -jobs, -bytes)
  }

  count(caller: string, { jobs, bytes }: Room): void {
    this.#add(limitKeyOf(caller), jobs, bytes)
  }

  #add(key: string, jobs: number, bytes: number): void {
    change(this.#jobsOf, key, jobs)
    change(this.#bytesOf, key, bytes)
    this.#bytes += bytes
  }
}

function change(counts: Map<string, number>, key: string, by: number): void {
  if (by === 0) return
  const count = (counts.get(key) ?? 0) + by
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
