/** One request gets exactly one answer, whatever follows it on its connection: the end of the client's bytes, or nonsense. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw, request } from '../../kit/http.ts'
import type { RawConnection } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { chat } from '../openai/support.ts'
import { statsOf } from '../support.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const service = await startFakeOpenAi({}, file)
const gateway = await startGateway(file, {
  nodes: [node],
  services: [entryOf(service)],
})

interface Asked {
  /** The head without its end and length. */
  readonly head: string
  readonly body?: string
  /** What the body of the answer is. */
  readonly answer: RegExp
}

const UUID = '[0-9a-f-]{36}'
/** Long enough to be asked while they run. */
const STREAMED = { pieces: 6, pieceMs: 80 }
const REQUESTS: Record<string, Asked> = {
  'a job': { head: 'POST /api/jobs', body: JSON.stringify(jobOf()), answer: new RegExp(`^{"id":"${UUID}"}\\s*$`) },
  'a batch': {
    head: 'POST /api/jobs/batch',
    body: JSON.stringify([jobOf(), jobOf()]),
    answer: new RegExp(`^\\[{"id":"${UUID}"},{"id":"${UUID}"}\\]\\s*$`),
  },
  'a job that streams': {
    head: 'POST /api/jobs/stream',
    body: JSON.stringify(jobOf(STREAMED)),
    answer: new RegExp(`^${UUID}\\npiece0 piece1 piece2 piece3 piece4 piece5 $`),
  },
  'a chat': { head: 'POST /v1/chat/completions', body: JSON.stringify(chat({ seconds: 0.4 })), answer: /^\{.*\}\s*$/s },
  'a chat that streams': {
    head: 'POST /v1/chat/completions',
    body: JSON.stringify(chat(STREAMED, { stream: true })),
    answer: /^data: .*data: \[DONE\]\s*$/s,
  },
  'a list of jobs': { head: 'GET /api/jobs', answer: /^\[.*\]$/ },
  'a look-up': { head: 'GET /api/v1/ips?container=echo', answer: /^\[".*"\]$/ },
  'a sign of life': { head: 'GET /livez', answer: /^\{.*\}$/ },
}

function bytesOf({ head, body }: Asked, length = body?.length): string {
  return `${head} HTTP/1.1\r\nHost: x\r\n${length === undefined ? '' : `Content-Length: ${length}\r\n`}\r\n${body ?? ''}`
}

interface Read {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** All final answers of a connection that has closed, each read to its end; fails where one is incomplete. */
function answersIn(received: string): Read[] {
  const answers: Read[] = []
  for (let rest = received; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n')
    assert.ok(end > 0, `no head in: ${rest}`)
    const head = rest.slice(0, end)
    rest = rest.slice(end + 4)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    // Interim answers are none.
    if (status === 100) continue
    let body = ''
    const length = /^content-length: (\d+)$/im.exec(head)?.[1]
    if (length === undefined) {
      assert.match(head, /^transfer-encoding: chunked$/im)
      for (let size = -1; size !== 0;) {
        const [digits] = /^[0-9a-f]+(?=\r\n)/.exec(rest) ?? ['']
        assert.notEqual(digits, '', `the answer is cut: ${received}`)
        size = parseInt(digits, 16)
        body += rest.slice(digits.length + 2, digits.length + 2 + size)
        assert.equal(rest.slice(digits.length + 2 + size, digits.length + 4 + size), '\r\n')
        rest = rest.slice(digits.length + 4 + size)
      }
    } else {
      body = rest.slice(0, Number(length))
      assert.equal(body.length, Number(length), `the answer is cut: ${received}`)
      rest = rest.slice(Number(length))
    }
    answers.push({ status, head, body })
  }
  return answers
}

async function sent(t: Cleanup, bytes: string): Promise<RawConnection> {
  const client = await openRaw(gateway.url, { t })
  client.send(bytes)
  return client
}

async function assertAnswered(client: RawConnection, ...asked: Asked[]): Promise<void> {
  const answers = answersIn(await client.closed())
  assert.deepEqual(
    answers.map(({ status }) => status),
    asked.map(() => 200),
    client.received,
  )
  asked.forEach(({ answer }, index) => assert.match(answers[index]!.body, answer))
}

for (const [what, asked] of Object.entries(REQUESTS)) {
  describe(`${what} is answered once and in full, and then the connection closes, where its client`, () => {
    test('closes its sending side behind the request', async (t) => {
      const client = await sent(t, bytesOf(asked))
      client.socket.end()
      await assertAnswered(client, asked)
    })

    for (const [which, stray] of [
      ['one byte', '}'],
      ['a line', 'nonsense\r\n\r\n'],
    ] as const) {
      test(`sends ${which} too much`, async (t) => assertAnswered(await sent(t, bytesOf(asked) + stray), asked))
    }

    test('asks to close the connection and sends one byte too much', async (t) => {
      const closing = { ...asked, head: `${asked.head} HTTP/1.1\r\nConnection: close\r\nX-Rest:` }
      await assertAnswered(await sent(t, `${bytesOf(closing)}}`), asked)
    })

    test('sends one byte too much and closes its sending side', async (t) => {
      const client = await sent(t, `${bytesOf(asked)}}`)
      client.socket.end()
      await assertAnswered(client, asked)
    })

    test('sends the beginning of another request and closes its sending side', async (t) => {
      const client = await sent(t, `${bytesOf(asked)}GET /li`)
      client.socket.end()
      await assertAnswered(client, asked)
    })

    test('goes on sending nonsense', async (t) => {
      const client = await sent(t, bytesOf(asked) + '}'.repeat(3_000_000))
      await assertAnswered(client, asked)
    })

    test('asked something before on the same connection', async (t) => {
      const list = REQUESTS['a list of jobs']!
      const client = await sent(t, `${bytesOf(REQUESTS['a job']!)}${bytesOf(list)}${bytesOf(asked)}}`)
      client.socket.end()
      await assertAnswered(client, REQUESTS['a job']!, list, asked)
    })
  })
}

describe('an answer that has begun is completed', () => {
  for (const what of ['a job that streams', 'a chat that streams']) {
    for (const how of ['a stray byte', 'the end of what the client sends']) {
      test(`after ${how}: ${what}`, async (t) => {
        const client = await sent(t, bytesOf(REQUESTS[what]!))
        await client.until((received) => received.includes('\r\n\r\n'))
        if (how === 'a stray byte') client.send('x')
        else client.socket.end()
        await assertAnswered(client, REQUESTS[what]!)
      })
    }
  }
})

/** How much work has come to the backends. */
function posts(): number {
  const work = node.requests.filter(({ endpoint = '' }) => ['submit', 'batch', 'stream'].includes(endpoint))
  return work.length + service.requests.filter(({ endpoint }) => endpoint === 'chat').length
}

describe('a body that ends before its announced length', () => {
  for (const what of ['a job', 'a batch', 'a job that streams', 'a chat', 'a chat that streams']) {
    test(`is a 400 in JSON, and nothing is run: ${what}`, async (t) => {
      const asked = REQUESTS[what]!
      const before = posts()
      const client = await sent(t, bytesOf(asked, asked.body!.length + 1))
      client.socket.end()
      const [answer, ...more] = answersIn(await client.closed())
      assert.deepEqual(more, [])
      assert.equal(answer!.status, 400)
      assert.match(answer!.head, /^connection: close$/im)
      const { error } = JSON.parse(answer!.body) as { error: unknown }
      assert.ok(error)
      assert.equal(posts(), before)
    })
  }
})

test('a body whose announced length is too short is read so far, and gets one answer', async (t) => {
  const asked = REQUESTS['a job']!
  const client = await sent(t, bytesOf(asked, asked.body!.length - 1))
  const answers = answersIn(await client.closed())
  assert.deepEqual(
    answers.map(({ status }) => status),
    [400],
  )
})

for (const [what, rest] of [
  ['a chunk that is none', 'zz\r\n'],
  ['a chunk longer than it says', '1\r\n{}{}\r\n'],
] as const) {
  test(`a body that turns out malformed gets one 400: ${what}`, async (t) => {
    const client = await sent(t, `POST /api/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n`)
    // Its first bytes have been read.
    await eventually(
      async () => (await request(`${gateway.url}/stats`)).json<{ running_requests: number }>().running_requests > 1,
    )
    client.send(rest)
    const answers = answersIn(await client.closed())
    assert.deepEqual(
      answers.map(({ status }) => status),
      [400],
    )
  })
}

test('an answer that was given before the body turned out malformed stays the only one', async (t) => {
  const client = await sent(t, 'POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n')
  await client.until((received) => received.endsWith('}'))
  client.send('zz\r\n')
  const answers = answersIn(await client.closed())
  assert.deepEqual(
    answers.map(({ status }) => status),
    [404],
  )
})

test('a request that is malformed gets its 400 behind the answers to those before it', async (t) => {
  for (const line of ['no header', 'Content-Length: many', `X: ${'a'.repeat(80_000)}`]) {
    const client = await sent(t, `${bytesOf(REQUESTS['a job']!)}GET /livez HTTP/1.1\r\nHost: x\r\n${line}\r\n\r\n`)
    const answers = answersIn(await client.closed())
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, line.startsWith('X') ? 431 : 400],
    )
    assert.match(answers[1]!.head, /^connection: close$/im)
  }
})

test('CONNECT behind a request waits for its answer', async (t) => {
  await node.late(0.2, 'submit', { times: 1 })
  const client = await sent(t, `${bytesOf(REQUESTS['a job']!)}CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n`)
  const answers = answersIn(await client.closed())
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 405],
  )
})

describe('a client that has left after it had closed its sending side', () => {
  test('cancels what it asked for, with nonsense sent before too', async (t) => {
    for (const stray of ['', '}']) {
      const endless: Asked = {
        head: 'POST /v1/chat/completions',
        body: JSON.stringify(chat({ seconds: 600 })),
        answer: /./,
      }
      const client = await sent(t, bytesOf(endless) + stray)
      await eventually(async () => (await statsOf(gateway, service)).in_flight === 1)
      const left = service.next('clientLeft', () => true)
      client.socket.end()
      // Past the probe of a client that may be there.
      await client.until((received) => received.includes('100 Continue'))
      client.socket.resetAndDestroy()
      await left
      await eventually(async () => (await statsOf(gateway, service)).in_flight === 0)
    }
  })
})

test('after all of that nothing is left running', async () => {
  assert.equal((await statsOf(gateway, node)).in_flight, 0)
  assert.equal((await statsOf(gateway, service)).in_flight, 0)
  const { running_requests } = (await request(`${gateway.url}/stats`)).json<{ running_requests: number }>()
  assert.equal(running_requests, 1)
})
