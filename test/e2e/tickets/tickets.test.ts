import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { freePort } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import { isMissing, workerAccepts } from './worker.ts'

const file = { after }
const MODEL = 'модель-😀'
const [both, one, service] = await Promise.all([
  startFakeNode({ containers: ['echo', 'other', { id: 'inner', external: false }], rateLimit: 0 }, file),
  startFakeNode({ containers: ['only'], rateLimit: 0 }, file),
  startFakeOpenAi({ models: [MODEL, 'plain'] }, file),
])
const dead = `127.0.0.1:${await freePort()}`
const gateway = await startGateway(file, {
  nodes: [both, `http://${one.address}/`, dead],
  services: [{ name: 'service', url: `${service.url}/v1` }],
  healthy: 3,
})

interface Ticket {
  url: string
  reqnum: number
  signature: string
  endpoint: string
  cost: number
}

const ask = (body: object | string, path = '/route/') => post(`${gateway.url}${path}`, body)
const ticketFor = async (body: object): Promise<Ticket> => (await ask(body)).json<Ticket>()
const publicKey = async (): Promise<string> => (await request(`${gateway.url}/pubkey/`)).text

describe('a ticket', () => {
  test('has the five members, at either path, with the full URL of a worker', async () => {
    for (const path of ['/route/', '/route']) {
      const answer = await ask({ endpoint: 'echo', cost: 256, other: 'members are passed over' }, path)
      assert.equal(answer.status, 200, answer.text)
      const ticket = answer.json<Ticket>()
      assert.deepEqual(Object.keys(ticket), ['url', 'reqnum', 'signature', 'endpoint', 'cost'])
      const { signature, reqnum, ...rest } = ticket
      assert.deepEqual(rest, { url: both.url, endpoint: 'echo', cost: 256 })
      assert.ok(Number.isInteger(reqnum) && reqnum > 0)
      assert.equal(Buffer.from(signature, 'base64').toString('base64'), signature)
    }
  })

  test('may be for a container, several at once, or a model', async () => {
    assert.equal((await ticketFor({ endpoint: 'only' })).url, one.url)
    assert.equal((await ticketFor({ endpoint: 'echo,other' })).url, both.url)
    assert.equal((await ticketFor({ endpoint: 'echo, inner' })).url, both.url)
    assert.equal((await ticketFor({ endpoint: MODEL })).url, service.url)
  })

  test('costs 1 where nothing else is said', async () => {
    assert.equal((await ticketFor({ endpoint: 'echo' })).cost, 1)
    assert.equal((await ticketFor({ endpoint: 'echo', cost: null, api_key: null })).cost, 1)
  })

  test('has the cost as it was sent, which may be 0', async () => {
    for (const cost of ['0', '0.0', '3.0', '1E2', '123456789012345678901', '1e-999']) {
      const answer = await ask(`{"endpoint":"echo","cost":${cost}}`)
      assert.ok(answer.text.endsWith(`,"cost":${cost}}`), answer.text)
    }
  })

  test('is numbered one after the other for each worker, also under a herd', async () => {
    const first = (await ticketFor({ endpoint: 'echo' })).reqnum
    const [before, herd] = [
      (await ticketFor({ endpoint: 'only' })).reqnum,
      await Promise.all(Array.from({ length: 20 }, () => ticketFor({ endpoint: 'other' }))),
    ]
    const numbers = herd.map(({ reqnum }) => reqnum).sort((a, b) => a - b)
    assert.deepEqual(
      numbers,
      Array.from({ length: 20 }, (_, i) => first + 1 + i),
    )
    assert.equal((await ticketFor({ endpoint: 'only' })).reqnum, before + 1)
  })

  test('is one that a Python worker accepts, whatever its cost and endpoint', { skip: isMissing }, async (t) => {
    const bodies = [
      ...[
        '0',
        '0.0',
        '256',
        '0.5',
        '1e-7',
        '1e21',
        '1',
        '3.0',
        '1E2',
        '123456789012345678901',
        '0.1',
        '5e-324',
        '1e308',
      ].map((cost) => `{"endpoint":"echo","cost":${cost}}`),
      JSON.stringify({ endpoint: MODEL }),
      '{"endpoint":"plain"}',
      '{"endpoint":"\\u0065cho,other","cost":0.30000000000000004}',
    ]
    const answers = await Promise.all(bodies.map((body) => ask(body)))
    for (const { status, text } of answers) assert.equal(status, 200, text)
    const texts = answers.map(({ text }) => text)
    const accepted = await workerAccepts(t, await publicKey(), texts)
    assert.deepEqual(accepted, Array<boolean>(bodies.length).fill(true), JSON.stringify(accepted))
  })

  test('that was tampered with is refused by a Python worker', { skip: isMissing }, async (t) => {
    const ticket = await ticketFor({ endpoint: 'echo', cost: 2 })
    const forged = [{ cost: 1 }, { endpoint: 'other' }, { reqnum: ticket.reqnum + 1 }, { url: one.url }, { cost: 2.5 }]
    const texts = forged.map((change) => JSON.stringify({ ...ticket, ...change }))
    const accepted = await workerAccepts(t, await publicKey(), [JSON.stringify(ticket), ...texts])
    assert.deepEqual(accepted, [true, ...forged.map(() => false)])
  })
})

test('the public key is a PEM that is the same each time, with and without the slash', async () => {
  const pem = await publicKey()
  assert.match(pem, /^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+\n-----END PUBLIC KEY-----\n$/)
  assert.equal((await request(`${gateway.url}/pubkey`)).text, pem)
})

describe('TICKET_KEY_FILE', () => {
  const { privateKey, publicKey: itsPublicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })

  test('is the key of all gateways that are given it, whatever ledger they have', async (t) => {
    const options = { env: { TICKET_KEY_FILE: 'key.pem' }, cwdFiles: { 'key.pem': privateKey } }
    for (const stateUrl of ['memory:', 'sqlite:data/gateway.db']) {
      const { url } = await spawnGateway(t, { ...options, env: { ...options.env, STATE_URL: stateUrl } })
      assert.equal((await request(`${url}/pubkey/`)).text, itsPublicKey)
    }
  })

  test('that is missing stops the start, and none is made', async (t) => {
    const gateway = await spawnGateway(t, { env: { TICKET_KEY_FILE: 'key.pem' }, listening: false })
    assert.equal((await gateway.exited).code, 1)
    assert.match(gateway.output, /The ticket key file key\.pem does not exist/)
    await assert.rejects(access(join(gateway.cwd, 'key.pem')), { code: 'ENOENT' })
  })
})

describe('no ticket', () => {
  test('is given where no worker is ready: a 503 that tells how the workers are', async () => {
    for (const endpoint of ['nobody', 'echo,only', 'inner', 'echo,', ',', 'echo\u0000']) {
      const answer = await ask({ endpoint })
      assert.equal(answer.status, 503, answer.text)
      const { error, ...more } = answer.json<{ error: string }>()
      assert.equal(typeof error, 'string')
      assert.deepEqual(more, { endpoint, status: { healthy: 3, unhealthy: 1, total: 4 } })
      assert.ok(Number(answer.headers['retry-after']) >= 1)
    }
  })

  test('is given for a bad question: a 400 that names what is wrong', async () => {
    for (const [body, what] of [
      ['{}', /endpoint/],
      ['{"endpoint":""}', /endpoint/],
      ['{"endpoint":5}', /endpoint/],
      ['{"endpoint":["echo"]}', /endpoint/],
      ['{"endpoint":"echo","cost":-1}', /cost/],
      ['{"endpoint":"echo","cost":"1"}', /cost/],
      ['{"endpoint":"echo","cost":true}', /cost/],
      ['{"endpoint":"echo","cost":NaN}', /cost/],
      ['{"endpoint":"echo","cost":Infinity}', /cost/],
      ['{"endpoint":"echo","cost":1e999}', /cost/],
      ['{"endpoint":"echo","request_idx":-1}', /request_idx/],
      ['{"endpoint":"echo","request_idx":1.5}', /request_idx/],
      ['{"endpoint":"echo","request_idx":"1"}', /request_idx/],
      ['{"endpoint":"echo","replay_timeout":-1}', /replay_timeout/],
      ['{"endpoint":"echo","replay_timeout":true}', /replay_timeout/],
      ['{"endpoint":"echo","api_key":5}', /api_key/],
      ['', /JSON/],
      ['[]', /JSON/],
      ['{"endpoint":"echo"', /JSON/],
    ] as const) {
      assert.match(assertError(await ask(body), 400), what, body)
    }
  })

  test('is given for a body of a hostile size, nor by another method', async () => {
    assertError(await ask(JSON.stringify({ endpoint: 'x'.repeat(70_000) })), 413)
    assertError(await request(`${gateway.url}/route/`), 405)
    assertError(await post(`${gateway.url}/pubkey/`, {}), 405)
  })
})
