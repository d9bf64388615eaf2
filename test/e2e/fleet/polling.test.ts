import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { infoText } from '../../kit/builders/infos.ts'
import { serve } from '../../kit/serve.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }

/** A node whose one container is called `name`, so that only its own test uses it. */
async function nodeNamed(name: string): Promise<LocalFakeNode> {
  return startFakeNode({ rateLimit: 0, containers: [name] }, file)
}

const steady = await nodeNamed('steady')
const limited = await nodeNamed('limited')
const greedy = await nodeNamed('greedy')
const shaky = await nodeNamed('shaky')
const breaking = await nodeNamed('breaking')
const failing = await nodeNamed('failing')
await failing.answer(500, 'info')

const slow = { polls: 0, open: 0, mostOpen: 0 }
const slowAddress = await serve(file, (_request, response) => {
  slow.polls++
  slow.mostOpen = Math.max(slow.mostOpen, ++slow.open)
  response.once('close', () => slow.open--)
  setTimeout(() => response.end(infoText()), 700)
})

const quick = await spawnGateway(file, {
  nodes: [...[steady, limited, greedy, shaky, breaking, failing].map((node) => node.address), slowAddress],
  env: { REFRESH_INTERVAL: '0.5', RATELIMIT_REQS_PER_MIN: '0' },
})

const backingOff = await nodeNamed('backing-off')
await backingOff.answer(500, 'info', { times: 3 })
const refusing = await nodeNamed('shared')
const alive = await nodeNamed('shared')
const limitedAtFirst = await nodeNamed('limited-at-first')
await limitedAtFirst.pushBack('info', { times: 1 })
const lookedUp = await nodeNamed('looked-up')
const meagre = await startFakeNode({ rateLimit: { info: 3 }, containers: ['meagre'] }, file)
const hourly = await spawnGateway(file, {
  nodes: [backingOff, refusing, alive, limitedAtFirst, lookedUp, meagre].map((node) => node.address),
  env: { REFRESH_INTERVAL: '3600', RATELIMIT_REQS_PER_MIN: '0' },
})

/** Seconds between the requests to `/info`, from the one with that index on. */
function gaps(node: LocalFakeNode, from = 0): number[] {
  const times = node.seen('info').map(({ at }) => at)
  return times.slice(from + 1).map((at, i) => (at - times[from + i]!) / 1000)
}

/** Waits until the node has been asked so often in all. */
async function asked(node: LocalFakeNode, times: number): Promise<void> {
  await eventually(() => node.seen('info').length >= times, { withinMs: 30_000, what: `poll ${times}` })
}

/** Waits until the log has said that of the node so often. */
async function told(gateway: Gateway, message: string, node: LocalFakeNode, times = 1): Promise<void> {
  await eventually(() => count(gateway, message, node) >= times, { withinMs: 30_000, what: `${message} x ${times}` })
}

function count(gateway: Gateway, message: string, node: LocalFakeNode): number {
  return gateway.logs.filter((line) => line.message?.startsWith(message) && line['node'] === node.address).length
}

async function isHealthy(gateway: Gateway, node: LocalFakeNode): Promise<boolean> {
  const { services } = (await request(`${gateway.url}/services`)).json<{
    services: { name: string; healthy: boolean }[]
  }>()
  return services.find(({ name }) => name === node.address)?.healthy === true
}

async function lookUp(gateway: Gateway, container: string): Promise<string[]> {
  return (await request(`${gateway.url}/api/v1/ips?container=${container}`)).json<string[]>()
}

function submit(gateway: Gateway, container: string): ReturnType<typeof post> {
  return post(`${gateway.url}/api/jobs`, jobOf({}, [container]))
}

describe('a gateway', { concurrency: true }, () => {
  describe('polls', { concurrency: true }, () => {
    test('come once an interval, give or take a tenth', async () => {
      await asked(steady, 7)
      const all = gaps(steady)
      for (const gap of all) assert.ok(gap > 0.44, `${gap} s`)
    })

    test('of one node never overlap, however slowly it answers', async () => {
      await eventually(() => slow.polls >= 4, { withinMs: 30_000 })
      assert.equal(slow.mostOpen, 1)
    })

    test('of a node that fails come after 1, 2, 4 … seconds, and after a success at the usual pace', async () => {
      await told(hourly, 'node up', backingOff)
      const [first = 0, second = 0, third = 0, ...more] = gaps(backingOff)
      assert.ok(first > 0.88, `${first} s`)
      assert.ok(second > 1.78, `${second} s`)
      assert.ok(third > 3.58, `${third} s`)
      assert.deepEqual(more, [])
    })

    test('of a node that fails and fails still come once an interval', async () => {
      await asked(failing, 7)
      const total = gaps(failing)
        .slice(0, 6)
        .reduce((sum, gap) => sum + gap)
      // With pauses that went on doubling it would be a minute.
      assert.ok(total > 6 * 0.44 && total < 30, `${total} s for six`)
    })

    test('come early after the fourth look-up, but not where the node has few calls left', async () => {
      await told(hourly, 'node up', lookedUp)
      await told(hourly, 'node up', meagre)
      for (let i = 0; i < 8; i++) assert.deepEqual(await lookUp(hourly, 'meagre'), [meagre.address])
      for (let i = 0; i < 3; i++) await lookUp(hourly, 'looked-up')
      await new Promise((resolve) => setTimeout(resolve, 1000))
      assert.equal(lookedUp.seen('info').length, 1)
      await lookUp(hourly, 'looked-up')
      await asked(lookedUp, 2)
      assert.ok(gaps(lookedUp)[0]! > 0.95)
      assert.equal(meagre.seen('info').length, 1)
    })
  })

  describe('a 429 to a poll', { concurrency: true }, () => {
    test('is no sign of death: the node stays healthy and is handed out, and is left alone as it asks', async () => {
      await told(quick, 'node up', limited)
      await limited.pushBack('info')
      const polls = limited.seen('info').length
      await asked(limited, polls + 5)
      assert.equal(await isHealthy(quick, limited), true)
      assert.deepEqual(await lookUp(quick, 'limited'), [limited.address])
      assert.equal(count(quick, 'node down', limited), 0)
      for (const gap of gaps(limited, polls)) assert.ok(gap > 0.95, `${gap} s`)
    })

    test('of a node that nobody knows yet is followed up as soon as it allows, not an interval later', async () => {
      await told(hourly, 'node up', limitedAtFirst)
    })

    test('that asks for a thousand years is no reason to ask a thousand times a second', async () => {
      await told(quick, 'node up', greedy)
      await greedy.pushBack('info', { retryAfter: 40_000_000_000 })
      const polls = greedy.seen('info').length
      await asked(greedy, polls + 1)
      await asked(steady, steady.seen('info').length + 3)
      assert.ok(greedy.seen('info').length <= polls + 2)
    })
  })

  describe('health flips on consecutive evidence', { concurrency: true }, () => {
    test('from polls: down by three failures in a row, up by two successes', async () => {
      await told(quick, 'node up', shaky)
      await shaky.answer(500, 'info', { times: 2 })
      await asked(shaky, shaky.seen('info').length + 5)
      assert.equal(count(quick, 'node down', shaky), 0)

      const polls = shaky.seen('info').length
      await shaky.answer(500, 'info', { times: 3 })
      await told(quick, 'node down', shaky)
      const pollsWhenDown = shaky.seen('info').length
      assert.ok(pollsWhenDown >= polls + 3, `down after ${pollsWhenDown - polls}`)
      await told(quick, 'node up', shaky, 2)
      assert.ok(shaky.seen('info').length >= pollsWhenDown + 2)
      assert.equal(count(quick, 'node down', shaky), 1)
    })

    test('from traffic: a node that refuses three requests is down at once, and no request is lost', async () => {
      await told(hourly, 'node up', refusing)
      await told(hourly, 'node up', alive)
      await refusing.refuse()
      await eventually(
        async () => {
          const answer = await submit(hourly, 'shared')
          assert.equal(answer.status, 200, answer.text)
          assert.equal(answer.headers['x-infernet-node'], alive.address)
          return count(hourly, 'node down', refusing) > 0
        },
        { withinMs: 30_000 },
      )
      assert.equal(await isHealthy(hourly, refusing), false)
      assert.deepEqual(await lookUp(hourly, 'shared'), [alive.address])
      await refusing.comeBack()
      await told(hourly, 'node up', refusing, 2)
    })

    test('from traffic: one that breaks three requests is set aside for a while, though its polls go well', async () => {
      await told(quick, 'node up', breaking)
      await breaking.break('submit', { times: 3 })
      for (let i = 0; i < 3; i++) assert.equal((await submit(quick, 'breaking')).status, 502)
      assert.equal(await isHealthy(quick, breaking), false)
      await told(quick, 'node ejected', breaking)
      // A try is still better than a refusal, and its success ends the matter.
      assert.equal((await submit(quick, 'breaking')).status, 200)
      assert.equal(await isHealthy(quick, breaking), true)
      assert.equal(count(quick, 'node down', breaking), 0)
    })
  })
})
