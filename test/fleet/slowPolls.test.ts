import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import { test, type TestContext } from 'node:test'
import { parseAddress } from '../../src/fleet/address.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { Attempt } from '../../src/upstream/attempt.ts'
import { Transport } from '../../src/upstream/transport.ts'
import { ListedNodes, startFleet } from '../kit/builders/fleets.ts'
import { eventually, freePort } from '../kit/wait.ts'

const POLL_TIMEOUT_SECONDS = 0.2

/** A service whose list takes longer than a poll may, once it is `busy`, and which sends its only answer piece by piece. */
class BusyService {
  busy = false
  /** Polls that came while it was busy. */
  slowPolls = 0
  port = 0
  readonly answers: ServerResponse[] = []

  async start(t: TestContext): Promise<void> {
    const server = createServer((request, response) => {
      if (request.method === 'POST') {
        this.answers.push(response)
        response.writeHead(200)
        response.write('a piece')
      } else if (!this.busy) response.end('{"data":[{"id":"m"}]}')
      else this.slowPolls++
    })
    this.port = await freePort()
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    t.after(() => {
      server.close()
      server.closeAllConnections()
    })
  }

  send(): void {
    for (const response of this.answers) response.write('a piece')
  }
}

async function healthyNode(t: TestContext, service: BusyService): Promise<TrackedNode> {
  const spec = { ...parseAddress(`127.0.0.1:${service.port}`), kind: 'openai' as const }
  const over = { refreshIntervalSeconds: 0.05, pollTimeoutSeconds: POLL_TIMEOUT_SECONDS }
  const fleet = await startFleet(t, [new ListedNodes(spec)], over)
  const [node] = fleet.nodes.values()
  await eventually(() => node!.health.isHealthy)
  return node!
}

function openAnswer(t: TestContext, node: TrackedNode): void {
  const transport = new Transport({ connectTimeoutSeconds: 5, answerTimeoutSeconds: 60, idleTimeoutSeconds: 60 })
  t.after(() => transport.close())
  const nothing = (): undefined => undefined
  const attempt = new Attempt({ begin: () => true, piece: nothing, end: nothing, broke: nothing })
  transport.dispatch(
    node,
    { method: 'POST', path: '/v1/chat/completions', headers: [], body: Buffer.from('{}') },
    attempt,
  )
}

test('a service that sends pieces of an answer stays healthy, however slow it is at polls', async (t) => {
  const service = new BusyService()
  await service.start(t)
  const node = await healthyNode(t, service)
  openAnswer(t, node)
  await eventually(() => service.answers.length === 1)
  service.busy = true
  const sending = setInterval(() => service.send(), 10)
  t.after(() => clearInterval(sending))
  await eventually(() => service.slowPolls >= 6)
  assert.equal(node.health.isHealthy, true)
  assert.equal(node.reason, undefined)
  assert.equal(node.contact.isFailing, false)
  // Then it falls silent at everything.
  clearInterval(sending)
  await eventually(() => !node.health.isHealthy)
})

test('a service that refuses connections is unhealthy, whatever still comes over the old ones', async (t) => {
  const service = new BusyService()
  await service.start(t)
  const node = await healthyNode(t, service)
  openAnswer(t, node)
  await eventually(() => node.heardAtMs > 0)
  // Polls go to an address where nobody listens, while pieces of the answer keep coming.
  node.spec = { ...node.spec, origin: `http://127.0.0.1:${await freePort()}` }
  const sending = setInterval(() => service.send(), 10)
  t.after(() => clearInterval(sending))
  await eventually(() => !node.health.isHealthy)
})
