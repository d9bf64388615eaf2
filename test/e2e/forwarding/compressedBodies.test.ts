import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf, statusReport } from '../../kit/builders/jobs.ts'
import { openRaw, post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import { chat, lastCall } from '../openai/support.ts'

const MAX_BODY = 1_000_000

/** Not the default quality: it takes seconds, in which the simulated backends of this process answer nothing. */
function brotli(bytes: Buffer): Buffer {
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } })
}

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const service = await startFakeOpenAi({ models: ['small-model'] }, file)
const gateway = await startGateway(file, {
  nodes: [node],
  services: [{ name: 'service', url: service.url }],
  env: { MAX_BODY: String(MAX_BODY) },
})

const PACK: Record<string, (bytes: Buffer) => Buffer> = {
  gzip: gzipSync,
  'X-GZip': gzipSync,
  deflate: deflateSync,
  br: brotli,
  zstd: (bytes) => zstdCompressSync(bytes),
  'gzip, br': (bytes) => brotli(gzipSync(bytes)),
  'identity, zstd ,identity': (bytes) => zstdCompressSync(bytes),
}

function send(path: string, coding: string, body: Buffer, method = 'POST'): Promise<Answer> {
  return request(gateway.url + path, { method, body, headers: { 'Content-Encoding': coding } })
}

const packed = (coding: string, value: unknown): Buffer => PACK[coding]!(Buffer.from(JSON.stringify(value)))

/** Text that does not compress well. */
function noise(bytes: number): string {
  let text = ''
  for (let i = 0; text.length < bytes; i++) text += createHash('sha256').update(String(i)).digest('hex')
  return text.slice(0, bytes)
}

describe('a compressed body', () => {
  for (const coding of Object.keys(PACK)) {
    test(`of ${coding} goes on unpacked, without its coding`, async () => {
      const body = chat({}, { filler: noise(300_000) })
      const answer = await send('/v1/chat/completions', coding, packed(coding, body))
      assert.equal(answer.status, 200, answer.text)
      assert.equal(lastCall(service).text, JSON.stringify(body))
      assert.equal(lastCall(service).header('content-encoding'), undefined)
    })
  }

  test('is read on every path that takes one', async () => {
    const accepted = await send('/api/jobs', 'zstd', packed('zstd', jobOf()))
    const { id } = accepted.json<{ id: string }>()
    assert.equal(accepted.status, 200)
    for (const [path, body, method] of [
      ['/api/jobs/stream', jobOf(), 'POST'],
      ['/api/jobs/batch', [jobOf(), jobOf()], 'POST'],
      ['/api/status', statusReport(id, 'running'), 'PUT'],
      ['/route/', { endpoint: 'echo' }, 'POST'],
      ['/chat/completions', chat(), 'POST'],
    ] as const) {
      const answer = await send(path, 'gzip', packed('gzip', body), method)
      assert.equal(answer.status, 200, `${path}: ${answer.text}`)
    }
  })

  test('that is not of its coding, is cut off, or is followed by more, is a 400 that names the coding', async () => {
    const { length } = service.seen('chat')
    for (const coding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, br']) {
      const whole = packed(coding, chat({}, { filler: noise(50_000) }))
      const bodies = [
        Buffer.from(JSON.stringify(chat())),
        Buffer.alloc(0),
        whole.subarray(0, -1),
        whole.subarray(0, whole.length / 2),
        Buffer.concat([whole, Buffer.from('and more')]),
      ]
      for (const body of bodies) {
        const answer = await send('/v1/chat/completions', coding, body)
        assert.match(assertError(answer, 400, 'invalid_encoding'), /gzip|deflate|br|zstd/)
      }
    }
    assert.equal(service.seen('chat').length, length)
  })
})

describe('MAX_BODY', () => {
  test('counts what is unpacked, and ends what unpacks to more, whatever the coding', async () => {
    const fits = JSON.stringify(chat({}, { filler: '' }))
    const filler = 'x'.repeat(MAX_BODY - fits.length)
    for (const coding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, br']) {
      const largest = await send('/v1/chat/completions', coding, packed(coding, chat({}, { filler })))
      assert.equal(largest.status, 200, largest.text)
      const over = await send('/v1/chat/completions', coding, packed(coding, chat({}, { filler: `${filler}x` })))
      assertError(over, 413, 'request_too_large')
      const bomb = PACK[coding]!(Buffer.alloc(20 * MAX_BODY))
      assertError(await send('/v1/chat/completions', coding, bomb), 413, 'request_too_large')
    }
  })

  test('bounds what never unpacks to anything', async () => {
    const nothing = Buffer.concat(Array<Buffer>(80_000).fill(gzipSync(Buffer.alloc(0))))
    assertError(await send('/v1/chat/completions', 'gzip', nothing), 413, 'request_too_large')
  })
})

test('what is unpacked counts in the memory budget until the request has ended, also where it is refused', async (t) => {
  const usedBytes = async (): Promise<number> =>
    (await request(`${gateway.url}/stats`)).json<{ memory: { used_bytes: number } }>().memory.used_bytes
  const raw = await openRaw(gateway.url, { t })
  const bytes = packed('gzip', chat({}, { filler: noise(500_000) }))
  raw.send(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n`,
  )
  raw.send(Buffer.concat([Buffer.from(`${(bytes.length - 100).toString(16)}\r\n`), bytes.subarray(0, -100)]))
  await eventually(async () => (await usedBytes()) > 300_000)
  // The client leaves amid its upload.
  raw.socket.destroy()
  await eventually(async () => (await usedBytes()) === 0)
  await send('/v1/chat/completions', 'gzip', bytes.subarray(0, -1))
  await eventually(async () => (await usedBytes()) === 0)
  assert.equal((await post(`${gateway.url}/v1/chat/completions`, chat())).status, 200)
})
