import { setTimeout as sleep } from 'node:timers/promises'
import { startFakeOpenAi } from '../../../kit/fakeOpenAi/index.ts'
import { openStream } from '../../../kit/http.ts'
import { addressOf } from '../client/connection.ts'
import { getRequest } from '../client/requests.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'
import type { Findings } from '../findings.ts'
import { startFleet } from '../fleet.ts'
import { load, openLoad, posting, type LoadResult } from '../load.ts'
import type { BenchOptions } from '../options.ts'
import { quantile } from '../report.ts'
import { machine } from '../rounds.ts'
import { startGroup, type Group } from './group.ts'

const MODEL = 'small'
const CHATS_A_SECOND = 50
const LOOKUPS_A_SECOND = 20
const STREAMS = 20
const PIECE_MS = 200

const CHAT = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'x'.repeat(500) }] })

/** What clients of chat, streams and look-ups notice while Redis is away. */
export async function measureOutage(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const nodes = (await startFleet(cleanups)).map(({ address }) => address)
  const service = await startFakeOpenAi({ models: [MODEL], record: 0, concurrency: 1000 }, cleanups)
  const services = [{ name: 'service', url: service.url }]
  const group = await startGroup(cleanups, nodes, { services, env: { RATELIMIT_REQS_PER_MIN: '0' } })
  const { outageSeconds } = options
  for (const { url } of group.gateways) {
    await load(posting(`${url}/v1/chat/completions`, CHAT), options.connections, {
      seconds: options.shortWarmUpSeconds,
    })
  }
  const before = await serve(group, outageSeconds)
  const during = await serve(group, outageSeconds, () => group.redis.kill())
  await group.redis.restart()
  await sleep(1000)
  const after = await serve(group, outageSeconds)
  const p99 = ({ chats }: Served): number =>
    quantile(
      chats.flatMap(({ latenciesMs }) => latenciesMs),
      0.99,
    )
  const failed = during.chats.concat(during.lookups).reduce((sum, { errors }) => sum + errors, during.brokenStreams)
  const asked = during.chats.concat(during.lookups).reduce((sum, { requests }) => sum + requests, STREAMS)
  console.log(`Redis away for ${outageSeconds} s, three gateways; ${machine()}`)
  console.log(`${asked} chats, look-ups and streams, ${failed} of which failed`)
  console.log(
    `p99 of a chat completion: ${[before, during, after].map((each) => `${p99(each).toFixed(2)} ms`).join(', ')} (before, meanwhile, after)\n`,
  )
  findings.note('outageFailed', [failed])
  findings.note('outageP99', [p99(during)], [p99(before)])
}

interface Served {
  readonly brokenStreams: number
  readonly chats: readonly LoadResult[]
  readonly lookups: readonly LoadResult[]
}

/** Streams are there before anything happens, and end about when the time is over. */
async function serve(group: Group, seconds: number, happens?: () => Promise<void>): Promise<Served> {
  const { gateways } = group
  const streams = await Promise.all(Array.from({ length: STREAMS }, (_, n) => streamAt(group, n, seconds)))
  await happens?.()
  const chats = gateways.map(({ url }) =>
    openLoad(posting(`${url}/v1/chat/completions`, CHAT), { perSecond: CHATS_A_SECOND, seconds }),
  )
  const lookups = gateways.map(({ url }) => {
    const asked = getRequest(`${url}/api/v1/ips?container=echo`)
    return openLoad({ address: addressOf(url), next: () => asked }, { perSecond: LOOKUPS_A_SECOND, seconds })
  })
  const served = { chats: await Promise.all(chats), lookups: await Promise.all(lookups) }
  const ends = await Promise.all(streams.map(({ ended }) => ended))
  return { ...served, brokenStreams: ends.filter(({ complete }) => !complete).length }
}

function streamAt({ gateways }: Group, n: number, seconds: number): ReturnType<typeof openStream> {
  const data = { pieces: (seconds * 1000) / PIECE_MS, pieceMs: PIECE_MS }
  const body = { containers: ['echo'], data }
  return openStream(`${gateways[n % gateways.length]!.url}/api/jobs/stream`, { body, timeoutMs: 120_000 })
}
