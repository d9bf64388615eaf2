import { JOB_OVERHEAD_BYTES } from '../../ledger/index.ts'

/** Longer lists of containers are not measured: they are no longer than the request that they are from. */
const MOST_MEASURED = 16
/** What JSON adds to an id in a list. */
const BYTES_AROUND_ID = 3

/**
 * About what the ledger keeps of a job until its end; `keptLength` is that of its request, as far as that is kept. Cheap,
 * since a batch asks for thousands at once.
 */
export function roomFor(containers: readonly string[], requestLength: number, keptLength = requestLength): number {
  let listLength = requestLength
  if (containers.length <= MOST_MEASURED) {
    listLength = 2
    for (const id of containers) listLength += id.length + BYTES_AROUND_ID
  }
  return JOB_OVERHEAD_BYTES + listLength + keptLength
}
