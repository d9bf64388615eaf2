/** `tokens_per_min` over several workers, and over gateways that share a ledger. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { post, type Answer } from '../../kit/http.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { startCrew } from '../workers/crew.ts'
import { assertError } from '../support.ts'
import { chat } from './support.ts'

const file = { after }
/** Refilled by one in 0.6 seconds: hardly while a test runs. */
const RATE = 100
const service = await startFakeOpenAi({ concurrency: 100 }, file)
const KEYS = Array.from({ length: 200 }, (_, i) => ({ name: `k${i}`, key: `k${i}`, tokens_per_min: RATE }))
const services = [entryOf(service)]
const cwdFiles = { 'keys.json': KEYS }

async function startWorkers(t: Cleanup): Promise<string[]> {
  const { url } = await startCrew(t, [], { KEYS_FILE: 'keys.json' }, { services, cwdFiles })
  return [url]
}

async function startReplicas(t: Cleanup): Promise<string[]> {
  const redis = await startRedis(t)
  const env = { KEYS_FILE: 'keys.json', STATE_URL: redis.url() }
  const gateways = await Promise.all([0, 1].map(() => startGateway(t, { services, cwdFiles, env })))
  return gateways.map(({ url }) => url)
}

describe('tokens_per_min of two workers', async () => limitIsOne(await startWorkers(file)))
describe('tokens_per_min of two gateways over Redis', { skip: redisMissing }, async () =>
  limitIsOne(await startReplicas(file)),
)

/** `urls`: the addresses of what is to count as one, which are asked in turn; each request has a connection of its own. */
function limitIsOne(urls: readonly string[]): void {
  let last = 0
  const nextKey = (): string => KEYS[last++]!.key
  const ask = (key: string, i: number, sim: object = {}): Promise<Answer> =>
    post(`${urls[i % urls.length]}/v1/chat/completions`, chat(sim, { max_tokens: 10 }), {
      headers: { Authorization: `Bearer ${key}` },
    })

  test('what is reserved at one is not free at another', async () => {
    // Where a busy machine holds the store up for a tenth of a second, each rightly counts alone: then with another caller.
    const areTwoAdmitted = async (): Promise<boolean> => {
      const key = nextKey()
      const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(key, i, { seconds: 1 })))
      return answers.filter(({ status }) => status === 200).length === 2
    }
    await eventually(areTwoAdmitted, { withinMs: 60_000, what: 'two requests are admitted' })
  })

  test('what was charged at one is a debt at all of them', async () => {
    const isOwed = async (): Promise<boolean> => {
      const key = nextKey()
      assert.equal((await ask(key, 0, { text: 'word ', pieces: 500 })).status, 200)
      const isRefused = async (): Promise<boolean> => {
        const answers = await Promise.all([0, 1, 2, 3].map((i) => ask(key, i)))
        return answers.every((answer) => {
          if (answer.status !== 429) return false
          assertError(answer, 429)
          // About 430 tokens have to be refilled, 0.6 seconds each.
          const seconds = Number(answer.headers['retry-after'])
          return seconds > 200 && seconds <= 300
        })
      }
      return isRefused()
    }
    await eventually(isOwed, { withinMs: 60_000, what: 'all refuse' })
  })

  test('what was reserved for a request that failed is free again', async (t) => {
    t.after(() => service.behave('chat'))
    const isGivenBack = async (): Promise<boolean> => {
      const key = nextKey()
      await service.answer(400, 'chat', { body: '{}' })
      const answers = await Promise.all([0, 1].map((i) => ask(key, i)))
      if (answers.some(({ status }) => status !== 400)) return false
      await service.behave('chat')
      const again = await Promise.all([0, 1].map((i) => ask(key, i, { seconds: 0.2 })))
      return again.every(({ status }) => status === 200)
    }
    await eventually(isGivenBack, { withinMs: 60_000, what: 'what was reserved is given back' })
  })
}
