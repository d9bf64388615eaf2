import type { Request, Response } from 'express'
import { GatewayFault } from '../../faults.ts'
import { urlOf } from '../../fleet/index.ts'
import { readBody } from '../../http/index.ts'
import { readReport } from './report.ts'
import type { SharedReports } from './sharedReports.ts'

/** A report names the requests that its worker is at, a few bytes each. */
const MOST_BODY_BYTES = 1024 * 1024

export interface WorkerStatusDeps {
  readonly maxBodyBytes: number
  readonly reports: SharedReports
}

/** `POST /worker_status/`: a worker says how it is. Taken as a poll of it: one that is still loading gets no tickets. */
export function takeWorkerStatus({ reports, maxBodyBytes }: WorkerStatusDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const { address, report } = readReport(await readBody(req, Math.min(maxBodyBytes, MOST_BODY_BYTES)))
    const nodes = reports.nodesAt(address)
    if (nodes.length === 0) {
      throw new GatewayFault('ERR_NOT_FOUND', 'No backend is listed at the address of this worker', {
        params: { url: urlOf(address) },
      })
    }
    await Promise.all(nodes.map((node) => reports.take(node, report)))
    res.json({ workers: nodes.map(({ name }) => name), ready: report.notReady === undefined })
  }
}

/**
 * `POST /delete_requests/`: a worker says which requests have ended. It repeats them until they are taken, and nothing here needs to
 * know them.
 */
export function takeEndedRequests({ maxBodyBytes }: { readonly maxBodyBytes: number }) {
  return async (req: Request, res: Response): Promise<void> => {
    await readBody(req, maxBodyBytes)
    res.json({})
  }
}
