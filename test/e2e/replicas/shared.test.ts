/** What all replicas know: jobs, tickets, where responses live, and each other. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { entryOf as serviceOf } from '../../kit/builders/gateways.ts'
import { jobOf, statusReport } from '../../kit/builders/jobs.ts'
import { startFakeNode, type LocalFakeNode } from '../../kit/fakeNode/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { afterSuite, listed, submitted } from '../jobs/support.ts'
import { startResponsesService, type ResponsesService } from '../openai/responsesService.ts'
import {
  assertRefused,
  entryOf,
  living,
  LONG,
  runsOf,
  startReplicas,
  takesJobs,
  wordOf,
  type Replicas,
} from './support.ts'
import { Watch } from './watch.ts'

interface Ticket {
  readonly reqnum: number
  readonly url: string
}

async function ticket({ url }: Gateway): Promise<Ticket> {
  const answer = await post(`${url}/route/`, { endpoint: 'echo' })
  assert.equal(answer.status, 200, answer.text)
  return answer.json<Ticket>()
}

const keyOf = async ({ url }: Gateway): Promise<string> => (await request(`${url}/pubkey/`)).text

describe('all replicas', { skip: redisMissing }, () => {
  const cleanup = afterSuite()
  let node: LocalFakeNode
  let services: ResponsesService[]
  let replicas: Replicas

  before(async () => {
    node = await startFakeNode({ rateLimit: 0, concurrency: 500 }, cleanup)
    services = await Promise.all([1, 2].map(() => startResponsesService(cleanup)))
    replicas = await startReplicas(cleanup, {
      count: 3,
      nodes: [node],
      services: services.map((service) => serviceOf(service)),
    })
  })

  test('know a job as soon as it is acknowledged, and list it; strangers see it nowhere', async () => {
    const from = '127.0.0.31'
    const id = await submitted(replicas.gateways[0]!, { seconds: 60 }, { from })
    for (const gateway of replicas.gateways) {
      const answer = await request(`${gateway.url}/api/jobs?id=${id}`, { localAddress: from })
      assert.equal(entryOf(answer.text).status, 'running')
      assert.deepEqual(await listed(gateway, '', { from }), [id])
      assert.deepEqual(await listed(gateway, '?pending=true', { from }), [id])
      assert.deepEqual(await listed(gateway, `?id=${id}`, { from: '127.0.0.32' }), [])
    }
  })

  test('tell the end of a job and of a stream alike', async (t) => {
    const [one] = replicas.gateways
    const job = await submitted(one!, { token: 'job', seconds: 0.3 })
    const stream = await openStream(`${one!.url}/api/jobs/stream`, { body: jobOf({ pieces: 3 }) })
    while (await stream.next());
    const watch = new Watch(t, replicas.gateways, [job, stream.text.split('\n')[0]!])
    for (const word of await watch.ended()) assert.equal(entryOf(word).status, 'success')
    await watch.stop()
  })

  test('show the intermediate results of a job that runs at one of them', async () => {
    const [one, other] = replicas.gateways
    const id = await submitted(one!, { seconds: 60 })
    await node.answer(200, 'jobs', {
      body: JSON.stringify([
        { id: (await node.jobs()).at(-1)!.id, status: 'running', result: null, intermediate_results: [{ step: 1 }] },
      ]),
    })
    const url = `${other!.url}/api/jobs?id=${id}&intermediate=true`
    await eventually(async () => /"step": ?1/.test((await request(url)).text), LONG)
    await node.behave('jobs')
  })

  test('pass a status report on to the node, whoever of them has the job', async (t) => {
    const [one, other] = replicas.gateways
    const id = await submitted(one!, { token: 'report', seconds: 60 })
    const answer = await request(`${other!.url}/api/status`, { method: 'PUT', body: statusReport(id) })
    assert.equal(answer.status, 200, answer.text)
    const watch = new Watch(t, replicas.gateways, [id])
    const [word] = await watch.ended()
    assert.equal(entryOf(word!).status, 'success')
    await watch.stop()
    const unknown = await request(`${other!.url}/api/status`, { method: 'PUT', body: statusReport('no-such-job') })
    assert.equal(unknown.status, 404)
  })

  test('know a request for a ticket again, and what a worker reported to one of them', async () => {
    const ask = async ({ url }: Gateway, index: number): Promise<{ url?: string; request_idx: number }> =>
      (await post(`${url}/route/`, { endpoint: 'echo', request_idx: index })).json()
    const [first, second, third] = replicas.gateways as [Gateway, Gateway, Gateway]
    const { request_idx: index } = await ask(first, 0)
    assert.equal((await ask(second, index)).request_idx, index)
    assert.equal((await ask(third, 0)).request_idx, index + 1)

    const report = (gateway: Gateway, loadtime: number) =>
      post(`${gateway.url}/worker_status/`, { url: node.url, loadtime, num_requests_working: 0 })
    assert.equal((await report(first, 0)).status, 200)
    for (const gateway of replicas.gateways) assert.equal((await ask(gateway, 0)).url, undefined)
    assert.equal((await report(second, 1)).status, 200)
    const areReady = async (): Promise<boolean> => {
      const urls = await Promise.all(replicas.gateways.map(async (gateway) => (await ask(gateway, 0)).url))
      return urls.every((url) => url === node.url)
    }
    await eventually(areReady, { withinMs: 10_000 })
  })

  test('walk through the pages of addresses together', async () => {
    const others = await Promise.all(
      [1, 2, 3].map(() => startFakeNode({ rateLimit: 0, containers: ['paged'] }, cleanup)),
    )
    const nodes = [node, ...others].map(({ address }) => address)
    for (const gateway of replicas.gateways) await gateway.setNodes(nodes)
    for (const gateway of replicas.gateways) await gateway.ready(nodes.length + services.length)
    const walked: string[] = []
    for (const [offset, { url }] of replicas.gateways.entries()) {
      walked.push(...(await request(`${url}/api/v1/ips?container=paged&n=1&offset=${offset}`)).json<string[]>())
      // Moves the order.
      for (let n = 0; n < 3; n++) await request(`${url}/api/v1/ip?container=paged`)
    }
    assert.deepEqual(walked.toSorted(), others.map(({ address }) => address).toSorted())
  })

  test('sign with one key, and number tickets on across each other', async () => {
    const keys = await Promise.all(replicas.gateways.map(keyOf))
    assert.equal(new Set(keys).size, 1)
    assert.match(keys[0]!, /^-----BEGIN PUBLIC KEY-----/)
    const tickets = await Promise.all(
      Array.from({ length: 30 }, (_, n) => ticket(replicas.gateways[n % replicas.gateways.length]!)),
    )
    const numbers = tickets.map(({ reqnum }) => reqnum).toSorted((a, b) => a - b)
    assert.deepEqual(
      numbers,
      numbers.map((_, n) => numbers[0]! + n),
    )
  })

  test('send a conversation back to the service that has it', async () => {
    const turn = async ({ url }: Gateway, previous: string | null): Promise<{ id: string; turns: number }> => {
      const body = { model: 'm', input: 'go on', previous_response_id: previous }
      const answer = await post(`${url}/v1/responses`, body)
      assert.equal(answer.status, 200, answer.text)
      return answer.json()
    }
    for (let n = 0; n < 4; n++) {
      let last = await turn(replicas.gateways[0]!, null)
      for (const gateway of replicas.gateways) last = await turn(gateway, last.id)
      assert.equal(last.turns, 4)
    }
  })

  test('name themselves and the others, with what each has', async () => {
    const names = await living(replicas.redis)
    const stats = async ({
      url,
    }: Gateway): Promise<{ self: string; sure: boolean; list: { replica: string; state: string }[] }> =>
      (await request(`${url}/stats`)).json<{ replicas: Awaited<ReturnType<typeof stats>> }>().replicas
    const all = async (): Promise<boolean> => {
      const each = await Promise.all(replicas.gateways.map(stats))
      assert.deepEqual(each.map(({ self }) => self).toSorted(), names)
      for (const { sure, list } of each) {
        assert.equal(sure, true)
        assert.deepEqual(list.map(({ replica }) => replica).toSorted(), names)
      }
      return true
    }
    await eventually(all, LONG)
  })
})

describe("a status report at a replica whose address the job's node does not know", { skip: redisMissing }, () => {
  test('is refused for a while, and changes nothing', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const { gateways } = await startReplicas(t, { nodes: [node], addresses: 'each' })
    const [one, other] = gateways
    const id = await submitted(one!, { token: 'report', seconds: 60 })
    assertRefused(await request(`${other!.url}/api/status`, { method: 'PUT', body: statusReport(id) }))
    assert.equal(entryOf((await wordOf(other!, id))!).status, 'running')
    assert.equal(runsOf([node], 'report'), 1)
  })
})

describe('a Redis that comes back empty', { skip: redisMissing }, () => {
  test("gives no ticket's number again, and leaves the key as it was", async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const redis = await startRedis(t)
    const { gateways } = await startReplicas(t, { nodes: [node], redis })
    const [one, other] = gateways
    const key = await keyOf(one!)
    let last = 0
    for (let n = 0; n < 10; n++) last = (await ticket(n % 2 === 0 ? one! : other!)).reqnum
    await redis.restart({ keepsData: false })
    for (const gateway of gateways) await takesJobs(gateway)
    for (const gateway of [one!, other!]) {
      const { reqnum } = await ticket(gateway)
      assert.ok(reqnum > last, `${reqnum} after ${last}`)
      last = reqnum
      assert.equal(await keyOf(gateway), key)
    }
  })
})
