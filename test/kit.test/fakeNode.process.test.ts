import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { jobOf } from '../kit/builders/jobs.ts'
import { openStream, post, request } from '../kit/http.ts'
import { spawnFakeNode } from '../kit/fakeNode/index.ts'
import { eventually } from '../kit/wait.ts'

const MAIN = new URL('../kit/fakeNode/main.ts', import.meta.url).pathname
const JOB = jobOf({}, ['a'])

test('a node of its own process takes commands and tells what it saw', async (t) => {
  const node = await spawnFakeNode({ containers: ['a'], rateLimit: 0 }, t)
  const ended = node.next('jobEnded')
  const { text } = await post(`${node.url}/api/jobs`, JOB)
  const { id } = JSON.parse(text) as { id: string }
  assert.equal((await ended).id, id)
  assert.deepEqual((await node.waitFor('submit')).json(), JOB)
  await node.answer(500, 'health', { times: 1 })
  assert.equal((await request(`${node.url}/health`)).status, 500)
  assert.equal((await request(`${node.url}/health`)).status, 200)
  await node.sync()
  assert.equal(node.seen('health').length, 2)
  assert.equal((await node.counts()).requests, 3)
  assert.deepEqual(
    (await node.jobs()).map((job) => job.id),
    [id],
  )
})

test('after a kill and a restart finished jobs are known, unfinished ones are not, and the address is the same', async (t) => {
  const node = await spawnFakeNode({ containers: ['a'], rateLimit: 0 }, t)
  const { address } = node
  const ended = node.next('jobEnded')
  await post(`${node.url}/api/jobs`, { ...JOB, id: 'finished' })
  await ended
  await post(`${node.url}/api/jobs`, { ...JOB, id: 'running', data: { seconds: 60 } })
  const open = await openStream(`${node.url}/api/jobs/stream`, { body: { ...JOB, data: { pieces: 9, pieceMs: 999 } } })
  await node.kill()
  assert.equal((await open.ended).complete, false)
  await assert.rejects(request(`${node.url}/health`), { code: 'ECONNREFUSED' })
  await node.restart()
  assert.equal(node.address, address)
  assert.deepEqual((await request(`${node.url}/api/jobs`)).json(), ['finished'])
})

test('a paused process accepts connections and answers nothing until it is resumed', async (t) => {
  const node = await spawnFakeNode({ rateLimit: 0 }, t)
  node.pause()
  await assert.rejects(request(`${node.url}/health`, { timeoutMs: 150 }), /no answer/)
  node.resume()
  assert.equal((await request(`${node.url}/health`)).status, 200)
})

test('the process prints its ports in one line and ends when its stdin is closed', async (t) => {
  const args = [
    '--concurrency',
    '2',
    '--speed',
    '0.1',
    '--containers',
    'a,b',
    '--rate-limit',
    '0',
    '--control-port',
    '0',
  ]
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { host, port, controlPort } = JSON.parse(line.toString()) as { host: string; port: number; controlPort: number }
  const info = (await request(`http://${host}:${port}/info`)).json<{ containers: { id: string }[] }>()
  assert.deepEqual(
    info.containers.map(({ id }) => id),
    ['a', 'b'],
  )
  const pushBack = { do: 'misbehave', misdeed: { endpoint: 'info', act: { act: 'answer', status: 429 } } }
  assert.equal((await post(`http://${host}:${controlPort}/command`, pushBack)).status, 200)
  assert.equal((await request(`http://${host}:${port}/info`)).status, 429)
  child.stdin.end()
  const [code] = (await once(child, 'exit')) as [number]
  assert.equal(code, 0)
})

test('SIGTERM ends the process', async (t) => {
  const node = await spawnFakeNode({}, t)
  await node.stop()
  await eventually(async () => {
    await assert.rejects(request(`${node.url}/health`), { code: 'ECONNREFUSED' })
    return true
  })
})
