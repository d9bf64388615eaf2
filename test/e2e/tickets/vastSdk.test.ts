import assert from 'node:assert/strict'
import { test } from 'node:test'
import { json } from 'node:stream/consumers'
import { startGateway } from '../../kit/builders/gateways.ts'
import { serve } from '../../kit/serve.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { runSdk, sdkIsMissing } from './vastSdk.ts'

interface Call {
  readonly worker: string
  readonly path: string
  readonly body: { auth_data: { url: string; request_idx: number }; payload: object }
}

/** Two workers: what a worker of the SDK has besides its own paths is not there. One path fails for the first that is asked. */
async function startWorkers(t: Cleanup): Promise<{ readonly addresses: readonly string[]; readonly calls: Call[] }> {
  const calls: Call[] = []
  let failuresLeft = 1
  const start = async (name: string): Promise<string> =>
    serve(t, (incoming, response) => {
      if (incoming.method !== 'POST') return void response.writeHead(404).end()
      const path = incoming.url!.split('?')[0]!
      void json(incoming).then((body) => {
        calls.push({ worker: name, path, body: body as Call['body'] })
        const fails = path === '/fails-once' && failuresLeft-- > 0
        response.writeHead(fails ? 500 : 200, { 'Content-Type': 'application/json' })
        response.end(JSON.stringify({ worker: name }))
      })
    })
  return { addresses: [await start('one'), await start('other')], calls }
}

test('Vast’s SDK waits for a worker that is loading, comes again when one fails, and its worker takes our tickets', async (t) => {
  const reason = await sdkIsMissing()
  if (reason !== false) return t.skip(reason)
  const { addresses, calls } = await startWorkers(t)
  const [one, other] = addresses
  const services = [
    { name: 'one', url: `http://${one}`, models: ['alone', 'pair'] },
    { name: 'other', url: `http://${other}`, models: ['pair'] },
  ]
  // With the limits of every day: ten look-ups a minute.
  const env = { API_KEYS: 'the-key', RATELIMIT_REQS_PER_MIN: '10', OPS_KEY: 'ops', STATUS_ALLOWED_IPS: '127.0.0.9' }
  const gateway = await startGateway(t, { services, env })
  const { reported, answers, tickets, accepted } = await runSdk(gateway.url, Number(one!.split(':')[1]), 'ops')
  assert.deepEqual(reported, { loading: true, loaded: true })
  assert.deepEqual(accepted, [true, true, false])
  assert.deepEqual(answers, [{ worker: 'one' }, { worker: calls[2]!.worker }])
  assert.deepEqual(calls[0]!.body.auth_data, tickets[0])
  const tries = calls.filter(({ path }) => path === '/fails-once')
  assert.equal(tries.length, 2)
  assert.equal(new Set(tries.map(({ worker }) => worker)).size, 2)
  assert.equal(new Set(tries.map(({ body }) => body.auth_data.request_idx)).size, 1)
  assert.notEqual(tries[0]!.body.auth_data.request_idx, tickets[0]!.request_idx)
  assert.ok(!gateway.output.includes('its-secret'))
})
