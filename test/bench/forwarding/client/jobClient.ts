import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionPool } from './pool.ts'
import { getRequest, postRequest } from './requests.ts'

/** How a client learns that its job has ended. */
export interface Manner {
  /** Pause between the answer that a job still runs and the next question. */
  readonly everyMs: number
  /** Which of its requests bear `Prefer: wait=30`. A server may ignore it: then the client asks again as without. */
  readonly waitsOn?: 'read' | 'submission'
}

/** A job from its submission until its client has seen its end. */
export interface Life {
  readonly id: string
  readonly seenAfterMs: number
  readonly reads: number
  /** Answers other than 200, and connections that broke. Each request is sent again after the usual pause. */
  readonly errors: number
}

interface JobState {
  readonly id?: string
  readonly status?: string
}

const PREFER_WAIT = 'Prefer: wait=30\r\n'
const GIVE_UP_MS = 60_000

/** Submits a job, and asks for it until it has ended. */
export async function liveJob(pool: ConnectionPool, url: string, body: string, manner: Manner): Promise<Life> {
  const { everyMs, waitsOn } = manner
  const startedAt = performance.now()
  let errors = 0
  const askUntil = async (request: Buffer, isEnough: (job: JobState) => boolean): Promise<[JobState, number]> => {
    for (let times = 1; ; times++) {
      const { status, body: answer } = await pool.request(request)
      const job = status === 200 ? jobIn(answer) : {}
      if (isEnough(job)) return [job, times]
      if (status !== 200) errors++
      if (performance.now() - startedAt > GIVE_UP_MS) throw new Error('the end of a job was not seen')
      await sleep(everyMs)
    }
  }
  const submission = postRequest(url, body, waitsOn === 'submission' ? PREFER_WAIT : '')
  const [job] = await askUntil(submission, ({ id }) => id !== undefined)
  const id = job.id!
  if (hasEnded(job)) return { id, seenAfterMs: performance.now() - startedAt, reads: 0, errors }
  const wait = waitsOn === 'read' ? PREFER_WAIT : ''
  // A request that waits needs no pause before it.
  if (!wait) await sleep(everyMs)
  const [, reads] = await askUntil(getRequest(`${url}?id=${id}`, wait), hasEnded)
  return { id, seenAfterMs: performance.now() - startedAt, reads, errors }
}

function hasEnded({ status }: JobState): boolean {
  return status === 'success' || status === 'failed'
}

/** A submission is answered with an object, a read with a list. */
function jobIn(answer: Buffer): JobState {
  const parsed = JSON.parse(answer.toString()) as JobState | JobState[]
  return Array.isArray(parsed) ? (parsed[0] ?? {}) : parsed
}
