import type { Ledger } from '../../ledger/index.ts'
import type { Admission, AdmissionLimits, JobsBound } from './admission.ts'
import { LocalAdmission } from './localAdmission.ts'
import { SharedAdmission } from './sharedAdmission.ts'

export type { Admission, AdmissionLimits } from './admission.ts'

/** Counts where the ledger's jobs are counted: in this process, or in the store that several gateways share. */
export function admissionFor({ shared }: Pick<Ledger, 'shared'>, limits: AdmissionLimits): Admission {
  return shared ? new SharedAdmission(shared.coordination.room, limits) : new LocalAdmission(limits)
}

/** `most` unfinished jobs a caller, except for those that have a number of their own. */
export function jobsBound(
  most: number,
  ownOf: (caller: string) => number | undefined = () => undefined,
): (caller: string) => JobsBound {
  const common = { setting: 'MAX_JOBS_PER_CALLER', most }
  return (caller) => {
    const own = ownOf(caller)
    return own === undefined ? common : { setting: 'max_jobs of the key', most: own }
  }
}
