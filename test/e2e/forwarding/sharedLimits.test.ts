import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { post, request, type Answer, type RequestOptions } from '../../kit/http.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { assertError } from '../support.ts'

const BUDGET = 60
const LIMITS = {
  TRUST_PROXY: 'loopback',
  PROXY_RATELIMIT_REQS_PER_MIN: String(BUDGET),
  READ_RATELIMIT_REQS_PER_MIN: String(BUDGET),
  RATELIMIT_REQS_PER_MIN: String(BUDGET),
}
const file = { after }
const node = await startFakeNode({ rateLimit: 10_000 }, file)

async function startWorkers(t: Cleanup): Promise<string[]> {
  const { url } = await startGateway(t, { nodes: [node], env: { ...LIMITS, WORKERS: '2' } })
  return [url]
}

async function startReplicas(t: Cleanup): Promise<string[]> {
  const redis = await startRedis(t)
  const env = { ...LIMITS, STATE_URL: redis.url() }
  const gateways = await Promise.all([0, 1, 2].map(() => startGateway(t, { nodes: [node], env })))
  return gateways.map(({ url }) => url)
}

/** As a client with that address, whom a trusted proxy names. */
function as(address: string): RequestOptions {
  return { headers: { 'X-Forwarded-For': address } }
}

describe('a limit of several workers', async () => limitIsOne(await startWorkers(file)))
describe('a limit of three gateways over Redis', { skip: redisMissing }, async () =>
  limitIsOne(await startReplicas(file)),
)

/** `urls`: the addresses of what is to count as one, which are asked in turn. */
function limitIsOne(urls: readonly string[]): void {
  /** Asks far too often, until all is used that one gateway would admit; false where more than that was admitted. */
  async function isExact(ask: (url: string) => Promise<Answer>): Promise<boolean> {
    const startedAt = performance.now()
    const allowed = () => BUDGET + ((performance.now() - startedAt) / 60_000) * BUDGET
    let admitted = 0
    const askAtOnce = async (count: number): Promise<void> => {
      const answers = await Promise.all(Array.from({ length: count }, (_, i) => ask(urls[i % urls.length]!)))
      const refused = answers.filter(({ status }) => status === 429)
      for (const answer of refused) {
        assertError(answer, 429)
        assert.ok(Number(answer.headers['retry-after']) >= 1)
        assert.equal(answer.headers['ratelimit-limit'], String(BUDGET))
      }
      admitted += count - refused.length
    }
    await askAtOnce(3 * BUDGET)
    // What one of them took in advance it gives back when it has no use for it.
    const isAllUsed = async () => {
      await askAtOnce(4)
      return admitted >= allowed() - 2
    }
    await eventually(isAllUsed, { everyMs: 100, what: 'all of the budget is used' })
    return admitted <= allowed() + 1
  }

  for (const path of ['/info', '/api/v1/ips?n=1', '/api/v1/containers']) {
    test(`admits what one gateway would, of ${path.split('?')[0]}`, async () => {
      // Where a busy machine holds the store up for a tenth of a second, each rightly counts alone: then with another caller.
      let caller = 0
      await eventually(
        () => {
          const client = as(`192.0.2.${++caller}`)
          return isExact((url) => request(url + path, client))
        },
        {
          withinMs: 60_000,
          what: 'no more is admitted',
        },
      )
    })
  }

  test('counts the items of batches, all or none of each', async () => {
    const batch = Array.from({ length: 25 }, () => jobOf())
    let caller = 100
    const areTwoAdmitted = async () => {
      const client = as(`192.0.2.${++caller}`)
      const submit = (i: number) => post(`${urls[i % urls.length]}/api/jobs/batch`, batch, client)
      const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => submit(i)))
      for (const answer of answers) if (answer.status !== 200) assertError(answer, 429)
      return answers.filter(({ status }) => status === 200).length === 2
    }
    await eventually(areTwoAdmitted, { withinMs: 60_000 })
  })
}
