import type { Ledger } from '../../ledger/index.ts'
import type { Admission, AdmissionLimits } from './admission.ts'
import { LocalAdmission } from './localAdmission.ts'
import { SharedAdmission } from './sharedAdmission.ts'

export type { Admission, AdmissionLimits } from './admission.ts'

/** Counts where the ledger's jobs are counted: in this process, or in the store that several gateways share. */
export function admissionFor({ shared }: Pick<Ledger, 'shared'>, limits: AdmissionLimits): Admission {
  return shared ? new SharedAdmission(shared.coordination.room, limits) : new LocalAdmission(limits)
}
