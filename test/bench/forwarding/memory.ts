import type { Cleanups } from '../../kit/cleanups.ts'
import { allJobsEnded, startGateway } from './contenders/gateway.ts'
import { JOBS_PATH } from './contenders/contender.ts'
import { residentBytes } from './cpu.ts'
import { JOB, startFleet } from './fleet.ts'
import { load, posting } from './load.ts'
import type { Findings } from './findings.ts'
import type { BenchOptions } from './options.ts'
import { megabytes, table } from './report.ts'

const STEPS = 10

/** Resident memory over many jobs: it must not grow with the number of those that have ended. */
export async function measureMemory(
  cleanups: Cleanups,
  { memoryJobs, connections }: BenchOptions,
  findings: Findings,
): Promise<void> {
  const nodes = (await startFleet(cleanups)).map((node) => node.address)
  const gateway = await startGateway(cleanups, nodes, 'sqlite')
  const url = gateway.url + JOBS_PATH
  const rows: string[][] = []
  let done = 0
  const resident: number[] = []
  const note = (): void => {
    const bytes = residentBytes(gateway.pid)
    resident.push(bytes / 2 ** 20)
    rows.push([String(done), megabytes(bytes)])
  }
  console.log(`Memory over ${memoryJobs} jobs (sqlite ledger), read after the jobs have ended\n`)
  note()
  for (let step = 0; step < STEPS; step++) {
    const { requests, errors } = await load(posting(url, JOB), connections, { requests: Math.ceil(memoryJobs / STEPS) })
    if (errors > 0) throw new Error(`${errors} of ${requests} jobs were not accepted`)
    await allJobsEnded(gateway)
    done += requests
    note()
  }
  console.log(`${table(['jobs', 'resident'], rows)}\n`)
  findings.note('jobMemory', [resident.at(-1)!], [resident[STEPS / 2]!])
}
