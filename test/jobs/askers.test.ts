/** Clients that wait for jobs, with requests over real sockets. */
import assert from 'node:assert/strict'
import { IncomingMessage, ServerResponse } from 'node:http'
import { connect, Socket } from 'node:net'
import { test } from 'node:test'
import { jobOf } from '../kit/builders/jobs.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { post } from '../kit/http.ts'
import { eventually } from '../kit/wait.ts'
import { startJobServer } from './jobServer.ts'

const END = { state: 'success' as const, result: Buffer.from('1'), intermediate: undefined }

test('a wait ends when its client leaves, be it by a reset or by closing as usual', async (t) => {
  const node = await startFakeNode({ rateLimit: 0, concurrency: 10 }, t)
  const { url, askers } = await startJobServer(t, [node])
  const { id } = (await post(`${url}/api/jobs`, jobOf({ seconds: 60 }))).json<{ id: string }>()
  for (const leave of ['resetAndDestroy', 'destroy'] as const) {
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET /api/jobs?id=${id}&wait=60 HTTP/1.1\r\nHost: x\r\n\r\n`)
    await eventually(() => askers.waiting === 1)
    socket[leave]()
    await eventually(() => askers.waiting === 0, { what: `the end of a wait after ${leave}` })
  }
})

test('many that wait for one job go on one in each turn of the event loop', async (t) => {
  const node = await startFakeNode({ rateLimit: 0, concurrency: 10 }, t)
  const { url, askers, live } = await startJobServer(t, [node])
  const { id } = (await post(`${url}/api/jobs`, jobOf({ seconds: 60 }))).json<{ id: string }>()
  const job = live.find(id)!
  let turn = 0
  let isOver = false
  const count = (): void => {
    turn++
    if (!isOver) setImmediate(count)
  }
  const waits = Array.from({ length: 5 }, async () => {
    const res = new ServerResponse(new IncomingMessage(new Socket()))
    await askers.firstEnd([job.record], { address: '192.0.2.1', seconds: 60, res })
    return turn
  })
  setImmediate(count)
  void live.finish(job, END, 0)
  const turns = await Promise.all(waits)
  isOver = true
  assert.equal(new Set(turns).size, 5, turns.join())
})

test('what waits for many jobs hold counts in the memory budget, and is given back', async (t) => {
  const node = await startFakeNode({ rateLimit: 0, concurrency: 1000 }, t)
  const { url, askers, memory } = await startJobServer(t, [node])
  const batch = Array.from({ length: 300 }, () => jobOf({ seconds: 60 }))
  const ids = (await post(`${url}/api/jobs/batch`, batch)).json<{ id: string }[]>()
  const before = memory.usedBytes
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write(`GET /api/jobs?${ids.map(({ id }) => `id=${id}`).join('&')}&wait=60 HTTP/1.1\r\nHost: x\r\n\r\n`)
  await eventually(() => askers.waiting === 1)
  assert.ok(memory.usedBytes - before >= 300 * 250)
  socket.resetAndDestroy()
  await eventually(() => memory.usedBytes === before)
})
