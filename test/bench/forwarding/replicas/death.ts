import { post, request } from '../../../kit/http.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'
import { JOBS_PATH } from '../contenders/contender.ts'
import type { Findings } from '../findings.ts'
import { jobOfSeconds, startFleet } from '../fleet.ts'
import { startGroup } from './group.ts'

/** How long one who waits for a job's end at another gateway waits longer because the job's own one dies, with the usual time-out. */
export async function measureDeath(cleanups: Cleanups, findings: Findings): Promise<void> {
  const nodes = (await startFleet(cleanups)).map(({ address }) => address)
  const { gateways } = await startGroup(cleanups, nodes)
  const [dying, other] = gateways
  const { id } = (await post(dying!.url + JOBS_PATH, jobOfSeconds(1))).json<{ id: string }>()
  const startedAt = performance.now()
  await dying!.kill()
  const answer = await request(`${other!.url}${JOBS_PATH}?id=${id}&wait=60`, { timeoutMs: 90_000 })
  const seconds = answer.text.includes('success') ? (performance.now() - startedAt) / 1000 : Infinity
  console.log(`A gateway dies that has a job of 1 s: its end is told by another after ${seconds.toFixed(1)} s\n`)
  findings.note('deathSeconds', [seconds])
}
