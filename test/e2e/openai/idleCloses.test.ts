/** Services and nodes that close a connection at the moment at which the next request is on its way to it. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { entryOf, gatewayFor, gatewayForServices } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post } from '../../kit/http.ts'
import { answerOf, startWireNode } from '../wireNode.ts'

interface Closing {
  readonly address: string
  readonly url: string
  /** POSTs that met the end of their connection. */
  met: number
}

/** A service that answers one POST on each connection, and closes the connection without a word when the second comes. */
async function startClosingService(t: TestContext): Promise<Closing> {
  const answered = new WeakSet<Socket>()
  const service = { address: '', url: '', met: 0 }
  const server = createServer((request, response) => {
    if (request.method === 'GET') return void response.end('{"data":[{"id":"small-model"}]}')
    request.resume().on('end', () => {
      if (answered.has(request.socket)) {
        service.met++
        return void request.socket.destroy()
      }
      answered.add(request.socket)
      response.end('{"id":"r"}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  service.address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  service.url = `http://${service.address}`
  return service
}

const PATHS: readonly [path: string, more?: object][] = [
  ['/v1/chat/completions'],
  ['/v1/completions'],
  ['/v1/embeddings'],
  ['/v1/messages'],
  ['/v1/rerank'],
  ['/v1/responses'],
]

describe('a service that closes idle connections', () => {
  test('is asked once more, on a fresh connection, for what only generates', async (t) => {
    const service = await startClosingService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)])
    for (const [path, more] of [...PATHS, ...PATHS]) {
      const answer = await post(`${gateway.url}${path}`, { model: 'small-model', ...more })
      assert.equal(answer.status, 200, `${path}: ${answer.text}`)
    }
    assert.ok(service.met > 0)
  })

  test('is not asked again for what may have taken effect', async (t) => {
    const service = await startClosingService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)])
    const statuses = []
    for (let i = 0; i < 6; i++) {
      const answer = await post(`${gateway.url}/v1/responses`, { model: 'small-model', background: true })
      statuses.push(answer.status)
    }
    assert.equal(statuses.filter((status) => status === 502).length, service.met)
    assert.ok(service.met > 0)
  })
})

describe('a node that closes idle connections', () => {
  test('gets a job once more only where its client gave an Idempotency-Key', async (t) => {
    const node = await startWireNode(t)
    const gateway = await gatewayFor(t, [node])
    const answered = new WeakSet<Socket>()
    let met = 0
    node.answers((socket) => {
      if (answered.has(socket)) {
        met++
        return void socket.destroy()
      }
      answered.add(socket)
      socket.write(answerOf('{"id":"1b4e28ba-2fa1-11d2-883f-0016d3cca427"}'))
    })
    const submit = async (headers: Record<string, string>): Promise<number> =>
      (await post(`${gateway.url}/api/jobs`, jobOf(), { headers })).status
    for (let i = 0; i < 6; i++) assert.equal(await submit({ 'Idempotency-Key': `key-${i}` }), 200)
    assert.ok(met > 0)
    const before = met
    const statuses = []
    for (let i = 0; i < 6; i++) statuses.push(await submit({}))
    assert.equal(statuses.filter((status) => status === 502).length, met - before)
  })
})
