import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { entryOf, gatewayFor, gatewayForServices } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { containerOf, infoText } from '../../kit/builders/infos.ts'
import { serve } from '../../kit/serve.ts'
import { post, request, type Answer } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { eventually } from '../../kit/wait.ts'
import { spawnGateway, type Gateway } from '../../kit/gateway.ts'
import { assertError } from '../support.ts'
import { startExplorer } from '../../fleet/sources/fakeExplorer.ts'

/** The longest id that is taken, 256 bytes of UTF-8 in fewer characters, and one that is a byte longer. */
const LONGEST = 'é'.repeat(128)
const TOO_LONG = `${LONGEST}x`

function assertNamesLimit(answer: Answer): void {
  assert.equal(answer.status, 400, answer.text)
  assert.match(answer.text, /256/)
  assert.ok(answer.text.length < 1000, 'the error does not repeat what was sent')
}

/** A backend that answers these paths with these bodies. */
function startBackend(t: Cleanup, answers: Record<string, string>): Promise<string> {
  return serve(t, (incoming, response) => {
    const body = answers[incoming.url ?? '']
    if (body === undefined) response.statusCode = 404
    response.end(body ?? '{}')
  })
}

const infoWith = (ids: readonly string[]): string => infoText({ containers: ids.map((id) => containerOf({ id })) })

const containersOf = async (gateway: Gateway): Promise<string[]> =>
  (await request(`${gateway.url}/api/v1/containers`)).json<{ id: string }[]>().map(({ id }) => id)

describe('an id of more than 256 bytes is a 400 that names the limit', () => {
  test('in jobs, items of batches, streams, look-ups, tickets and models', async (t) => {
    const node = await startFakeNode({ containers: ['echo', LONGEST] }, t)
    const gateway = await gatewayFor(t, [node])
    const { url } = gateway
    const named = (id: string): object => jobOf({}, ['echo', id])
    assertNamesLimit(await post(`${url}/api/jobs`, named(TOO_LONG)))
    assertNamesLimit(await post(`${url}/api/jobs`, named('x'.repeat(2_000_000))))
    assertNamesLimit(await post(`${url}/api/jobs/stream`, named(TOO_LONG)))
    for (const path of ['/api/v1/ips', '/api/v1/ip']) {
      assertNamesLimit(await request(`${url}${path}?container=echo&container=${encodeURIComponent(TOO_LONG)}`))
    }
    for (const path of ['/resources', '/api/v1/resources']) {
      assertNamesLimit(await request(`${url}${path}?model_id=${encodeURIComponent(TOO_LONG)}`))
    }
    assertNamesLimit(await post(`${url}/route/`, { endpoint: `echo,${TOO_LONG}` }))
    assertNamesLimit(await post(`${url}/v1/chat/completions`, { model: TOO_LONG }))
    assertNamesLimit(await post(`${url}/v1/chat/completions`, { model: 'x'.repeat(2_000_000) }))
    const form = `--X\r\nContent-Disposition: form-data; name="model"\r\n\r\n${TOO_LONG}\r\n--X--\r\n`
    const headers = { 'content-type': 'multipart/form-data; boundary=X' }
    assertNamesLimit(await post(`${url}/v1/audio/transcriptions`, form, { headers }))

    const batch = await post(`${url}/api/jobs/batch`, [named(TOO_LONG), jobOf()])
    const [refused, taken] = batch.json<[{ error?: string }, { id?: string }]>()
    assert.match(refused.error ?? '', /256/)
    assert.equal(typeof taken.id, 'string')
    assert.equal((await post(`${url}/api/jobs`, jobOf({}, [LONGEST]))).status, 200)
    assert.equal((await request(`${url}/api/v1/ip?container=${encodeURIComponent(LONGEST)}`)).status, 200)
  })

  test('and what a client named is repeated no longer than that, in errors and in the log', async (t) => {
    const node = await startFakeNode({ containers: ['echo'] }, t)
    const gateway = await gatewayFor(t, [node])
    const many = Array.from({ length: 20_000 }, (_, n) => `container-${n}`)
    assert.ok(assertError(await post(`${gateway.url}/api/jobs`, jobOf({}, many)), 405).length < 2000)
    await request(`${gateway.url}/${'x'.repeat(50_000)}`, { headers: { 'x-request-id': 'long-path' } })
    await gateway.waitForLog((line) => line['requestId'] === 'long-path')
    for (const line of gateway.output.split('\n')) assert.ok(line.length < 20_000, line.slice(0, 200))
  })
})

describe('what a node lists beyond the limits is left out, and the log says so once', () => {
  test('containers with long ids, and those after the first 1,000', async (t) => {
    const ids = [TOO_LONG, ...Array.from({ length: 1500 }, (_, n) => `c${n}`)]
    const address = await startBackend(t, { '/info': infoWith(ids) })
    const gateway = await gatewayFor(t, [{ address }])
    const known = await containersOf(gateway)
    assert.deepEqual(known, ids.slice(1, 1000))
    const told = (): unknown[] => gateway.logs.filter(({ message }) => /left out/.test(message ?? ''))
    const line = await gateway.waitForLog(({ message }) => /left out/.test(message ?? ''))
    assert.deepEqual([line['tooLong'], line['tooMany']], [1, 501])
    await gateway.setNodes([address], ['# the same again'])
    await gateway.waitForLog(() => gateway.logs.filter(({ message }) => message === 'addresses file read').length > 1)
    assert.equal(told().length, 1)
  })

  test('texts beside an id are cut', async (t) => {
    const long = 'd'.repeat(20_000)
    const container = { id: 'echo', description: long, external: true, image: long }
    const address = await startBackend(t, { '/info': JSON.stringify({ containers: [container] }) })
    const gateway = await gatewayFor(t, [{ address }])
    const [known] = (await request(`${gateway.url}/api/v1/containers`)).json<{ description: string }[]>()
    assert.equal(known?.description.length, 1000)
  })

  test('models of a service with long ids', async (t) => {
    const data = [{ id: 'm' }, { id: TOO_LONG }, { id: 'x'.repeat(100_000) }, { id: LONGEST }]
    const address = await startBackend(t, { '/v1/models': JSON.stringify({ data }) })
    const gateway = await gatewayForServices(t, [entryOf({ address, url: `http://${address}` })])
    const list = (await request(`${gateway.url}/v1/models`)).json<{ data: { id: string }[] }>()
    assert.deepEqual(list.data.map(({ id }) => id).sort(), ['m', LONGEST])
    assert.equal((await gateway.waitForLog(({ message }) => /left out/.test(message ?? '')))['tooLong'], 2)
  })

  test('nodes of the explorer after the first 10,000', async (t) => {
    const explorer = await startExplorer(t)
    explorer.lists(...Array.from({ length: 12_000 }, (_, n) => ({ ip: `10.9.${n >> 8}.${n & 255}`, port: 1 })))
    const gateway = await spawnGateway(t, {
      env: { API_URL: explorer.url, DISCOVERY_ALLOW_PRIVATE: 'true', REFRESH_INTERVAL: '300', LOG_LEVEL: 'info' },
    })
    const line = await gateway.waitForLog(({ message }) => /too many nodes/.test(message ?? ''), 30_000)
    assert.equal(line['leftOut'], 2000)
    const total = async (): Promise<boolean> =>
      (await request(`${gateway.url}/health`)).json<{ healthy_services: string }>().healthy_services === '0/10000'
    await eventually(total)
  })
})
