import { spawnFakeNode } from '../../../kit/fakeNode/index.ts'
import type { Gateway } from '../../../kit/gateway.ts'
import { post, request } from '../../../kit/http.ts'
import { eventually } from '../../../kit/wait.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'
import { JOBS_PATH } from '../contenders/contender.ts'
import type { Findings } from '../findings.ts'
import { jobOfSeconds } from '../fleet.ts'
import { median } from '../report.ts'
import { startGroup } from './group.ts'

/** What a node allows each client a minute, as real nodes do. */
const LOOKS_A_MINUTE = 60
const JOBS = 9
const JOB_SECONDS = 1
/** For the budgets of the node to be used up, if they are. */
const BEFORE_SECONDS = 30
const LONG_JOB_SECONDS = 600

/** How long after its end a job is told of, where three replicas of one address look at one node all the while. */
export async function measureLooks(cleanups: Cleanups, findings: Findings): Promise<void> {
  const node = await spawnFakeNode({ concurrency: 500, rateLimit: LOOKS_A_MINUTE, record: 0, watch: false }, cleanups)
  const { gateways } = await startGroup(cleanups, [node.address])
  for (const gateway of gateways) await submit(gateway, LONG_JOB_SECONDS, '127.0.0.2')
  await new Promise((resolve) => setTimeout(resolve, BEFORE_SECONDS * 1000))
  const seconds: number[] = []
  for (let n = 0; n < JOBS; n++) {
    const gateway = gateways[n % gateways.length]!
    const from = `127.0.0.${10 + n}`
    const id = await submit(gateway, JOB_SECONDS, from)
    const endsAt = performance.now() + JOB_SECONDS * 1000
    const look = async (): Promise<boolean> =>
      (await request(`${gateway.url}${JOBS_PATH}?id=${id}`, { localAddress: from })).text.includes('success')
    await eventually(look, { withinMs: 120_000, everyMs: 500, what: 'the end of a job' })
    seconds.push((performance.now() - endsAt) / 1000)
  }
  console.log(`Three gateways look at one node that allows ${LOOKS_A_MINUTE} looks a minute`)
  console.log(`Seconds from the end of a job until it is told: ${seconds.map((each) => each.toFixed(1)).join(', ')}\n`)
  findings.note('lookSeconds', [median(seconds)])
}

async function submit({ url }: Gateway, seconds: number, localAddress: string): Promise<string> {
  const answer = await post(url + JOBS_PATH, jobOfSeconds(seconds), { localAddress })
  return answer.json<{ id: string }>().id
}
