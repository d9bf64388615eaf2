/** Backends behind a proxy: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { startForwardProxy } from '../../kit/forwardProxy.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { TLS_CERTIFICATE, TLS_KEY } from '../../kit/tls.ts'
import { tempDir } from '../../kit/wait.ts'
import { chat } from '../openai/support.ts'

/** A service over TLS that has `small-model`. */
async function startSecureService(t: TestContext): Promise<{ address: string; url: string }> {
  const server = createServer({ key: TLS_KEY, cert: TLS_CERTIFICATE }, (incoming, response) => {
    if (incoming.method === 'GET') return void response.end('{"data":[{"id":"small-model"}]}')
    incoming.resume().on('end', () => response.end('{"id":"over-tls"}'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { address, url: `https://${address}` }
}

/** What a gateway needs to trust the test's certificate. */
async function trusting(t: TestContext): Promise<Record<string, string>> {
  const file = join(await tempDir(t), 'ca.pem')
  await writeFile(file, TLS_CERTIFICATE)
  return { NODE_EXTRA_CA_CERTS: file }
}

describe('backends with http:// addresses', () => {
  test('are polled, asked and streamed from through HTTP_PROXY, with the whole URL', async (t) => {
    const proxy = await startForwardProxy(t)
    const [node, service] = await Promise.all([startFakeNode({ rateLimit: 0 }, t), startFakeOpenAi({}, t)])
    const gateway = await startGateway(t, {
      nodes: [node],
      services: [entryOf(service)],
      env: { HTTP_PROXY: proxy.url },
    })
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
    assert.equal((await post(`${gateway.url}/v1/chat/completions?x=1`, chat())).status, 200)
    const stream = await openStream(`${gateway.url}/v1/chat/completions`, { body: chat({}, { stream: true }) })
    assert.equal(stream.status, 200)
    stream.destroy()
    for (const line of [
      `GET ${node.url}/info`,
      `POST ${node.url}/api/jobs`,
      `GET ${service.url}/v1/models`,
      `POST ${service.url}/v1/chat/completions?x=1`,
    ]) {
      assert.ok(proxy.asked.includes(line), `${line} is not among ${proxy.asked.join('\n')}`)
    }
    const seen = service.seen('chat')[0]!
    assert.equal(seen.url, '/v1/chat/completions?x=1')
    assert.equal(seen.header('host'), service.address)
    assert.equal(seen.header('proxy-authorization'), undefined)
  })

  test('are reached directly where NO_PROXY names them, in lower case too', async (t) => {
    const proxy = await startForwardProxy(t)
    const [through, direct] = await Promise.all([
      startFakeOpenAi({ models: ['through'] }, t),
      startFakeOpenAi({ models: ['direct'] }, t),
    ])
    const gateway = await startGateway(t, {
      services: [entryOf(through), entryOf(direct)],
      env: { http_proxy: `127.0.0.1:${proxy.port}`, no_proxy: `.example, ${direct.address}` },
    })
    for (const model of ['through', 'direct']) {
      assert.equal((await post(`${gateway.url}/v1/chat/completions`, chat({}, { model }))).status, 200)
    }
    assert.ok(proxy.asked.includes(`POST ${through.url}/v1/chat/completions`))
    assert.ok(!proxy.asked.some((line) => line.includes(direct.address)))
    assert.ok(!gateway.output.includes('is no setting'))
  })

  test('the credentials of the proxy are shown to it alone, and are in no log and on no page', async (t) => {
    const proxy = await startForwardProxy(t, { credentials: 'user:pass word' })
    const service = await startFakeOpenAi({}, t)
    const gateway = await startGateway(t, {
      services: [entryOf(service)],
      env: {
        HTTP_PROXY: `http://user:pass%20word@127.0.0.1:${proxy.port}`,
        API_URL: 'http://127.0.0.1:9',
      },
    })
    assert.equal((await post(`${gateway.url}/v1/chat/completions`, chat())).status, 200)
    assert.equal(proxy.refused, 0)
    await gateway.waitForLog(({ message }) => message?.startsWith('explorer gave no usable list') === true)
    const pages = await Promise.all(['/services', '/stats', '/metrics'].map((path) => request(`${gateway.url}${path}`)))
    const told = [gateway.output, ...pages.map(({ text }) => text)].join('\n')
    for (const secret of ['pass word', 'pass%20word', Buffer.from('user:pass word').toString('base64')]) {
      assert.ok(!told.includes(secret))
    }
    assert.ok(service.requests.every((seen) => seen.header('proxy-authorization') === undefined))
  })
})

describe('backends with https:// addresses', () => {
  test('are polled and asked through tunnels of HTTPS_PROXY', async (t) => {
    const proxy = await startForwardProxy(t, { credentials: 'user:secret' })
    const service = await startSecureService(t)
    const gateway = await startGateway(t, {
      services: [entryOf(service)],
      env: { ...(await trusting(t)), HTTPS_PROXY: `http://user:secret@127.0.0.1:${proxy.port}` },
    })
    const answer = await post(`${gateway.url}/v1/chat/completions`, chat())
    assert.equal(answer.text, '{"id":"over-tls"}')
    assert.ok(proxy.asked.length >= 2)
    assert.ok(proxy.asked.every((line) => line === `CONNECT ${service.address}`))
    assert.equal(proxy.refused, 0)
  })

  test('whose tunnel is refused are unhealthy, with a reason', async (t) => {
    const proxy = await startForwardProxy(t, { credentials: 'user:secret' })
    const service = await startSecureService(t)
    const gateway = await spawnGateway(t, {
      services: [entryOf(service)],
      env: { ...(await trusting(t)), HTTPS_PROXY: proxy.url },
    })
    await gateway.waitForLog(({ message }) => message === 'node down')
    assert.equal((await post(`${gateway.url}/v1/chat/completions`, chat())).status, 503)
    assert.ok(proxy.refused > 0)
  })
})
