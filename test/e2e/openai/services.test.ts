/** Where services are, and which key they want: what an entry of the services file can say besides its models. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { entryOf, gatewayForServices, startGateway } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { chat } from './support.ts'

interface Scripted {
  readonly address: string
  readonly url: string
  /** `METHOD /path?query` of all requests but those for metrics. */
  readonly asked: string[]
  /** The last POST. */
  last: IncomingMessage | undefined
}

/**
 * A service that answers each request as the test says: a status, with a small JSON body. `missing` gives the fault for a
 * model that it does not have.
 */
async function startService(
  t: TestContext,
  statusOf: (incoming: IncomingMessage) => number,
  missing: (model: string) => object | undefined = () => undefined,
): Promise<Scripted> {
  const asked: string[] = []
  const serve = (incoming: IncomingMessage, response: ServerResponse): void => {
    // Polls of its load come some time after those of its models.
    if (!incoming.url?.endsWith('/metrics')) asked.push(`${incoming.method} ${incoming.url}`)
    if (incoming.method === 'POST') service.last = incoming
    const status = statusOf(incoming)
    const isList = incoming.method === 'GET' && status === 200
    let body = ''
    incoming.on('data', (chunk: Buffer) => (body += chunk.toString()))
    incoming.on('end', () => {
      const fault = body === '' ? undefined : missing((JSON.parse(body) as { model: string }).model)
      response.writeHead(fault ? 404 : status, { 'content-type': 'application/json' })
      if (fault) return void response.end(JSON.stringify({ error: fault }))
      response.end(isList ? '{"data":[{"id":"small-model"}]}' : status === 200 ? '{"id":"r"}' : '{"detail":"no"}')
    })
  }
  const server = createServer(serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const service: Scripted = { address, url: `http://${address}`, asked, last: undefined }
  return service
}

const askAt = (url: string, path = '/v1/chat/completions', headers: Record<string, string> = {}) =>
  post(`${url}${path}`, chat(), { headers })

/** Serves at these paths alone. */
const only =
  (...paths: string[]) =>
  ({ url = '' }: IncomingMessage): number =>
    paths.includes(url.split('?')[0]!) ? 200 : 404

describe('the prefix of calls', () => {
  test('is none below an address that names a version, where no list tells it', async (t) => {
    const service = await startService(t, only('/api/paas/v4/chat/completions'))
    const entry = entryOf(service, { url: `${service.url}/api/paas/v4`, models: ['small-model'] })
    const { url } = await gatewayForServices(t, [entry])
    assert.equal((await askAt(url)).status, 200)
    assert.ok(service.asked.includes('GET /api/paas/v4/v1/models') && service.asked.includes('GET /api/paas/v4/models'))
  })

  test('is where the list is, for a service whose models are given too', async (t) => {
    const service = await startService(t, only('/api/models', '/api/chat/completions'))
    const { url } = await gatewayForServices(t, [
      entryOf(service, { url: `${service.url}/api`, models: ['small-model'] }),
    ])
    assert.equal((await askAt(url)).status, 200)
  })

  test('is used as it is given, for the list and for calls, also where it is empty', async (t) => {
    const plain = await startService(t, only('/v1beta/models', '/v1beta/chat/completions'))
    const other = await startService(t, only('/x/y/models', '/x/y/chat/completions'))
    const entries = [entryOf(plain, { url: `${plain.url}/v1beta`, prefix: '' }), entryOf(other, { prefix: '/x/y' })]
    // Each behind a gateway of its own: of two that are idle one may get all the work.
    for (const entry of entries) {
      const { url } = await gatewayForServices(t, [entry])
      assert.equal((await askAt(url)).status, 200)
    }
    assert.deepEqual(new Set(plain.asked), new Set(['GET /v1beta/models', 'POST /v1beta/chat/completions']))
    assert.deepEqual(new Set(other.asked), new Set(['GET /x/y/models', 'POST /x/y/chat/completions']))
  })

  test('is learnt from calls where the first guess is wrong', async (t) => {
    const service = await startService(t, only('/api/chat/completions'))
    const { url } = await gatewayForServices(t, [
      entryOf(service, { url: `${service.url}/api`, models: ['small-model'] }),
    ])
    assert.equal((await askAt(url)).status, 404)
    for (let i = 0; i < 3; i++) assert.equal((await askAt(url)).status, 200)
  })

  test('stays where one model alone is unknown there', async (t) => {
    const service = await startService(t, only('/v1/chat/completions'))
    const { url } = await gatewayForServices(t, [entryOf(service, { models: ['small-model'] })])
    assert.equal((await askAt(url)).status, 200)
    assert.equal((await askAt(url, '/v1/embeddings')).status, 404)
    assert.equal((await askAt(url)).status, 200)
  })

  test('stays where a service that takes any model does not know the one that is asked for', async (t) => {
    const service = await startService(t, only('/v1/chat/completions'), (model) =>
      model === 'misspelt' ? { code: 'model_not_found' } : undefined,
    )
    const { url } = await gatewayForServices(t, [entryOf(service, { models: ['*'] })])
    assert.equal((await post(`${url}/v1/chat/completions`, chat({}, { model: 'misspelt' }))).status, 404)
    assert.equal((await askAt(url)).status, 200)
  })

  test('that is right nowhere leaves the service unhealthy', async (t) => {
    const service = await startService(t, () => 404)
    const gateway = await gatewayForServices(t, [entryOf(service, { models: ['small-model'] })])
    assert.equal((await askAt(gateway.url)).status, 404)
    assert.equal((await askAt(gateway.url)).status, 404)
    await gateway.waitForLog(({ message, reason }) => message === 'node down' && /404/.test(String(reason)))
    assert.equal((await askAt(gateway.url)).status, 503)
  })
})

describe('a query in the address', () => {
  test('goes with every call and poll, and wins over parameters of the same name', async (t) => {
    const service = await startService(t, ({ url = '' }) => (url.includes('api-version=2026-01-01') ? 200 : 400))
    const { url } = await gatewayForServices(t, [entryOf(service, { url: `${service.url}/v1?api-version=2026-01-01` })])
    assert.equal((await askAt(url)).status, 200)
    assert.equal((await askAt(url, '/v1/chat/completions?api-version=old&x=1')).status, 200)
    assert.deepEqual(
      service.asked.filter((line) => line.startsWith('POST')),
      ['POST /v1/chat/completions?api-version=2026-01-01', 'POST /v1/chat/completions?x=1&api-version=2026-01-01'],
    )
    const shown = (await request(`${url}/services`)).text
    assert.ok(!shown.includes('api-version'))
  })
})

describe('the key of a service', () => {
  const wantsPlainKey = ({ headers }: IncomingMessage): number => (headers['x-api-key'] === 'sk-own' ? 200 : 401)

  test('is x-api-key too on /v1/messages, and at polls that are refused without it, whatever the client shows', async (t) => {
    const service = await startService(t, wantsPlainKey)
    for (const env of [{ API_KEYS: 'client-key' }, {}] as Record<string, string>[]) {
      const { url } = await gatewayForServices(t, [entryOf(service, { api_key: 'sk-own' })], env)
      for (const path of ['/v1/messages', '/v1/messages?beta=true']) {
        for (const headers of [{ 'X-API-Key': 'client-key' }, { Authorization: 'Bearer client-key' }] as const) {
          assert.equal((await askAt(url, path, headers)).status, 200, path)
          const seen = service.last!.headers
          assert.equal(seen['x-api-key'], 'sk-own')
          assert.equal(seen.authorization, 'Bearer sk-own')
        }
      }
    }
    const shown = await startService(t, wantsPlainKey)
    const { url } = await gatewayForServices(t, [entryOf(shown, { api_key: 'sk-own' })])
    assert.equal((await request(`${url}/health`)).status, 200)
  })

  test('goes in the header that its entry names, and in no other', async (t) => {
    const service = await startService(t, ({ headers }) => (headers['api-key'] === 'sk-own' ? 200 : 401))
    const entry = entryOf(service, { api_key: 'sk-own', api_key_header: 'Api-Key' })
    const { url } = await gatewayForServices(t, [entry])
    for (const path of ['/v1/chat/completions', '/v1/messages']) {
      const headers = { Authorization: 'Bearer theirs', 'X-API-Key': 'theirs', 'Api-Key': 'theirs' }
      assert.equal((await askAt(url, path, headers)).status, 200)
      assert.equal(service.last!.headers.authorization, undefined)
      assert.equal(service.last!.headers['x-api-key'], undefined)
    }
  })

  test('is the one that the client shows, in whichever header, where its entry has none and the gateway has no keys', async (t) => {
    const service = await startService(t, () => 200)
    const { url } = await gatewayForServices(t, [entryOf(service)])
    for (const headers of [{ authorization: 'Bearer theirs' }, { 'x-api-key': 'theirs' }, { 'api-key': 'theirs' }]) {
      const shown = headers as Record<string, string>
      assert.equal((await askAt(url, '/v1/chat/completions', shown)).status, 200)
      for (const name of Object.keys(shown)) assert.equal(service.last!.headers[name], shown[name], name)
    }
  })

  test('may come from the environment or .env; where it is missing, the entry is skipped and the log says why', async (t) => {
    const service = await startService(t, ({ headers }) => (headers.authorization === 'Bearer sk-env' ? 200 : 401))
    const gateway = await startGateway(t, {
      services: [
        { name: 'from-env', url: service.url, api_key: '${SERVICE_KEY}' },
        { name: 'from-file', url: service.url, api_key: '${FILE_KEY}' },
        { name: 'missing', url: service.url, api_key: '${NO_SUCH_KEY}' },
      ],
      cwdFiles: { '.env': 'FILE_KEY=sk-env\n' },
      env: { SERVICE_KEY: 'sk-env' },
      healthy: 2,
    })
    const { services } = (await request(`${gateway.url}/services`)).json<{ services: { name: string }[] }>()
    assert.deepEqual(
      services.map(({ name }) => name),
      ['from-env', 'from-file'],
    )
    const line = await eventually(() => gateway.logs.find(({ message }) => message?.startsWith('bad entry')))
    assert.match(String(line['reason']), /NO_SUCH_KEY, which is not set/)
    assert.ok(!gateway.output.includes('sk-env'))
  })
})
