/** Whatever becomes of a request, what it held of the memory budget is given back, once. */
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { freePort } from '../../kit/wait.ts'
import { askChat, chat, openChat } from '../openai/support.ts'
import { allIsGivenBack, announced, callersHold, holdsExactly, MB, SMALL_BUDGET, stalledUpload } from './support.ts'

const file = { after }
const nodes = await Promise.all([1, 2].map(() => startFakeNode({ rateLimit: 0 }, file)))
const services = await Promise.all([1, 2].map(() => startFakeOpenAi({}, file)))
const gateway = await startGateway(file, {
  // Nobody is at the last one, so that some requests are refused and go on to another.
  nodes: [...nodes, `127.0.0.1:${await freePort()}`],
  services: services.map((service) => entryOf(service)),
  env: SMALL_BUDGET,
  healthy: 4,
})

const large = { filler: 'x'.repeat(MB) }
const jobsUrl = `${gateway.url}/api/jobs`

async function behaveAll(): Promise<void> {
  for (const one of [...nodes, ...services]) await one.behave()
}

beforeEach(behaveAll)

test('all memory is given back after an answer, of a job, a batch and a stream', async () => {
  assert.equal((await post(jobsUrl, jobOf(large))).status, 200)
  assert.equal((await post(`${jobsUrl}/batch`, [jobOf(large), jobOf(), { containers: 1 }])).status, 200)
  const stream = await openStream(`${jobsUrl}/stream`, { body: jobOf(large) })
  assert.equal((await stream.ended).complete, true)
  await allIsGivenBack(gateway)
})

test('all memory is given back after refusals of the body: not JSON, not the shape, compressed, too large', async () => {
  assert.equal((await post(jobsUrl, `{"containers": ["echo"], ${'x'.repeat(MB)}`)).status, 400)
  assert.equal((await post(jobsUrl, { containers: 'echo', ...large })).status, 400)
  assert.equal((await post(jobsUrl, jobOf(large), { headers: { 'Content-Encoding': 'compress' } })).status, 415)
  assert.equal((await post(jobsUrl, 'x'.repeat(3 * MB))).status, 413)
  const chunked = { headers: { 'Transfer-Encoding': 'chunked' } }
  assert.equal((await post(jobsUrl, 'x'.repeat(3 * MB), chunked)).status, 413)
  assert.equal((await post(`${gateway.url}/route/`, { endpoint: 'x'.repeat(70_000) })).status, 413)
  assert.equal((await post(`${gateway.url}/route/`, { endpoint: 'echo' })).status, 200)
  await allIsGivenBack(gateway)
})

test('all memory is given back after a client that leaves amid its upload', async (t) => {
  for (const headers of [[announced(MB)], ['Transfer-Encoding: chunked']]) {
    const upload = await stalledUpload(gateway, t, {
      headers,
      sent: `${(1000).toString(16)}\r\n${'x'.repeat(1000)}\r\n`,
    })
    await holdsExactly(gateway, headers[0]!.startsWith('C') ? MB : 1000)
    upload.socket.destroy()
    await allIsGivenBack(gateway)
  }
})

test('all memory is given back after a client that leaves before its node has answered: only then, since the job goes on', async (t) => {
  for (const node of nodes) await node.late(1, 'submit')
  const body = JSON.stringify(jobOf(large))
  const upload = await stalledUpload(gateway, t, { headers: [announced(body.length)], sent: body })
  await Promise.race(nodes.map((node) => node.next('request', ({ endpoint }) => endpoint === 'submit')))
  upload.socket.destroy()
  assert.equal(await callersHold(gateway), body.length)
  await allIsGivenBack(gateway)
})

test('all memory is given back after resets, pushbacks and nonsense of nodes, with another node to go to and without', async () => {
  const headers = { 'Idempotency-Key': 'give-back' }
  await nodes[0]!.answer(503, 'submit', { body: `{"error":"${'x'.repeat(50_000)}"}` })
  await nodes[1]!.answer(503, 'submit', { body: `{"error":"${'x'.repeat(50_000)}"}` })
  assert.equal((await post(jobsUrl, jobOf(large))).status, 503)
  await behaveAll()
  for (const node of nodes) await node.answer(200, 'submit', { body: 'nonsense' })
  assert.equal((await post(jobsUrl, jobOf(large))).status, 502)
  await behaveAll()
  for (const node of nodes) await node.break('submit')
  assert.equal((await post(jobsUrl, jobOf(large), { headers })).status, 502)
  assert.equal((await post(jobsUrl, jobOf(large))).status, 502)
  await allIsGivenBack(gateway)
})

test('all memory is given back after requests under one Idempotency-Key, which wait for each other', async () => {
  const headers = { 'Idempotency-Key': 'waits' }
  const small = jobOf({ filler: 'x'.repeat(100_000) })
  const answers = await Promise.all(Array.from({ length: 10 }, () => post(jobsUrl, small, { headers })))
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1)
  assert.equal((await post(jobsUrl, jobOf(), { headers })).status, 422)
  await allIsGivenBack(gateway)
})

test('all memory is given back after answers of services, whole and as events, and after a client that leaves one', async () => {
  assert.equal((await askChat(gateway, chat({}, large))).status, 200)
  const events = await openChat(gateway)
  assert.equal((await events.ended).complete, true)
  const left = await openChat(gateway, { pieces: 9, text: 'word', stallAfter: 1 })
  left.destroy()
  assert.equal((await askChat(gateway, { messages: [], ...large })).status, 400)
  assert.equal((await askChat(gateway, { model: 'unheard of', ...large })).status, 404)
  await allIsGivenBack(gateway)
})

test('all memory is given back after a status report, from wherever', async () => {
  const { id } = (await post(jobsUrl, jobOf())).json<{ id: string }>()
  const report = { id, status: 'running', containers: [], ...large }
  const options = { method: 'PUT', body: report }
  assert.ok((await request(`${gateway.url}/api/status`, options)).status < 500)
  assert.equal((await request(`${gateway.url}/api/status`, { ...options, localAddress: '127.0.0.3' })).status, 403)
  await allIsGivenBack(gateway)
})
