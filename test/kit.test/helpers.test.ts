import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { jobOf } from '../kit/builders/jobs.ts'
import { openRaw, openStream, request } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { unconnectable } from '../kit/unconnectable.ts'
import { eventually, freePort, within } from '../kit/wait.ts'

test('where connecting takes forever, nobody accepts and nobody refuses', async (t) => {
  const [host, port] = (await unconnectable(t)).split(':')
  const socket = connect(Number(port), host)
  t.after(() => socket.destroy())
  const outcome = await new Promise((resolve) => {
    socket.on('connect', () => resolve('accepted'))
    socket.on('error', (error) => resolve(error))
    setTimeout(resolve, 500, 'neither')
  })
  assert.equal(outcome, 'neither')
})

test('a port is handed out once, however many are', async () => {
  const ports = await Promise.all(Array.from({ length: 600 }, () => freePort()))
  assert.equal(new Set(ports).size, 600)
})

test('a port is not waited for at an address that is not here', async () => {
  await assert.rejects(freePort('192.0.2.1'), { code: 'EADDRNOTAVAIL' })
})

describe('eventually', () => {
  test('returns the first truthy value', async () => {
    let asked = 0
    assert.equal(await eventually(() => (++asked === 3 ? 'yes' : '')), 'yes')
  })
  test('fails with the last error', async () => {
    const fails = (): never => {
      throw new Error('not yet')
    }
    await assert.rejects(eventually(fails, { withinMs: 30 }), /not yet/)
  })
})

test('what does not settle in time is an error that says what', async () => {
  await assert.rejects(
    within(new Promise(() => undefined), 10, () => 'the end of time'),
    /not within 10 ms: the end of time/,
  )
})

test('an answer that breaks off is an error, never a shorter answer', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.break('health', { when: 'body' })
  await assert.rejects(request(`${node.url}/health`))
  await node.dieAmidStream(1)
  const open = await openStream(`${node.url}/api/jobs/stream`, { body: jobOf({ pieces: 3 }) })
  await assert.rejects(async () => {
    while (await open.next());
  }, /broke off/)
})

test('a raw connection sends and receives bytes as they are', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const raw = await openRaw(node.url, { t })
  raw.send('nonsense\r\n\r\n')
  assert.match(await raw.closed(), /^HTTP\/1\.1 400 \r\ncontent-length: 0\r\nconnection: close\r\n/)
})
