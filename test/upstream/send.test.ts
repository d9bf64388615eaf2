import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { AttemptSettled, AttemptStart } from '../../src/upstream/diagnostics.ts'
import { abandon } from '../../src/upstream/settle.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'
import { TRACEPARENT, upstreamSite } from './site.ts'

/** Runs the garbage collector, which only a flag shows. */
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function listen<T>(t: Cleanup, name: string, heard: (message: T) => void): void {
  const onMessage = (message: unknown): void => heard(message as T)
  channel(name).subscribe(onMessage)
  t.after(() => void channel(name).unsubscribe(onMessage))
}

describe('an exchange that is sent', () => {
  test('leaves no place behind, whatever came of it', async (t) => {
    const { nodes, fleet, upstream, job } = await upstreamSite(t, 1)
    const ends = []
    for (const status of [200, 400, 429, 500, 503]) {
      if (status !== 200) await nodes[0]!.misbehave({ act: 'answer', status, body: '{"error":"no"}' }, 'submit', 1)
      const outcome = await upstream.send(job())
      ends.push([status, outcome.kind])
      for (const node of fleet.nodes.values()) {
        assert.deepEqual([node.inFlight, node.load.inFlight], [0, 0], `after ${status}`)
        // It may be asked again at once.
        node.coolDown('/api/jobs caller', 0, fleet.now())
      }
    }
    assert.deepEqual(ends, [
      [200, 'answer'],
      [400, 'answer'],
      [429, 'fault'],
      [500, 'answer'],
      [503, 'refused'],
    ])
  })

  test('keeps its place where the work goes on, until whoever has the answer ends it', async (t) => {
    const { fleet, upstream, job } = await upstreamSite(t, 1)
    const outcome = await upstream.send(job({ work: 'goesOn' }))
    const [node] = [...fleet.nodes.values()]
    assert.ok(outcome.kind === 'answer' && node)
    assert.deepEqual([node.inFlight, node.load.inFlight], [0, 1])
    abandon(outcome.lease)
    assert.equal(node.load.inFlight, 0)
  })

  test('leaves nothing of its request in memory while its work goes on', async (t) => {
    const { upstream, job } = await upstreamSite(t, 1)
    const { lease, exchange } = await (async () => {
      const sent = job({ work: 'goesOn' })
      const outcome = await upstream.send(sent)
      assert.ok(outcome.kind === 'answer')
      return { lease: outcome.lease, exchange: new WeakRef(sent) }
    })()
    await eventually(() => (collectGarbage(), exchange.deref() === undefined), { what: 'the exchange is collected' })
    abandon(lease)
  })

  test('whose request cannot be made is a fault of ours, and leaves no place behind', async (t) => {
    const { fleet, upstream, job } = await upstreamSite(t, 1)
    const requestFor = (): never => {
      throw new Error('no request')
    }
    const outcome = await upstream.send(job({ requestFor }))
    assert.equal(outcome.kind === 'fault' && outcome.fault.code, 'ERR_INTERNAL')
    for (const node of fleet.nodes.values()) {
      assert.deepEqual([node.inFlight, node.load.inFlight, node.counts.errors], [0, 0, 0])
    }
  })
})

describe('whoever listens', () => {
  test('hears of the start and the end of each attempt, in their order', async (t) => {
    const { nodes, upstream, job } = await upstreamSite(t, 2)
    const heard: unknown[] = []
    listen<AttemptStart>(t, 'infernet-gateway:attempt:start', ({ attempt, kind }) =>
      heard.push(['start', attempt, kind]),
    )
    listen<AttemptSettled>(t, 'infernet-gateway:attempt:end', ({ start, end, sent }) =>
      heard.push(['end', start.attempt, end.kind === 'answer' && end.status, sent]),
    )
    await Promise.all(nodes.map((node) => node.misbehave({ act: 'answer', status: 503, body: '{}' }, 'submit', 1)))
    const outcome = await upstream.send(job())
    assert.equal(outcome.kind, 'refused')
    assert.deepEqual(heard, [
      ['start', 1, 'containers:echo'],
      ['end', 1, 503, true],
      ['start', 2, 'containers:echo'],
      ['end', 2, 503, true],
    ])
  })

  test('may name each attempt as the parent of what its backend does', async (t) => {
    const { nodes, upstream, job } = await upstreamSite(t, 2)
    const parents: string[] = []
    listen<AttemptStart>(t, 'infernet-gateway:attempt:start', (start) => {
      assert.equal(start.traceparent, TRACEPARENT)
      start.traceparent = TRACEPARENT.replace('-0123456789abcdef-', `-000000000000000${start.attempt}-`)
      parents.push(start.traceparent)
    })
    await Promise.all(nodes.map((node) => node.misbehave({ act: 'answer', status: 503, body: '{}' }, 'submit', 1)))
    await upstream.send(job())
    const seen = nodes.flatMap(({ requests }) => requests.filter(({ endpoint }) => endpoint === 'submit'))
    assert.deepEqual(seen.map((request) => request.header('traceparent')).sort(), parents)
    assert.equal(parents.length, 2)
  })

  test('meets a header whose value reads like the name of the trace', async (t) => {
    const { nodes, upstream, job } = await upstreamSite(t, 1)
    listen<AttemptStart>(t, 'infernet-gateway:attempt:start', (start) => {
      start.traceparent = TRACEPARENT.replace('-0123456789abcdef-', '-0000000000000001-')
    })
    const usual = job()
    const requestFor: typeof usual.requestFor = (node) => {
      const request = usual.requestFor(node)
      return { ...request, headers: ['x-note', 'traceparent', 'x-key', 'secret', ...request.headers] }
    }
    await upstream.send(job({ requestFor }))
    const [request] = nodes[0]!.requests.filter(({ endpoint }) => endpoint === 'submit')
    assert.deepEqual(
      ['x-note', 'x-key', 'traceparent'].map((name) => request!.header(name)),
      ['traceparent', 'secret', TRACEPARENT.replace('-0123456789abcdef-', '-0000000000000001-')],
    )
  })

  test('changes nothing by listening alone', async (t) => {
    const { nodes, upstream, job } = await upstreamSite(t, 1)
    listen(t, 'infernet-gateway:attempt:end', () => undefined)
    await upstream.send(job())
    const [request] = nodes[0]!.requests.filter(({ endpoint }) => endpoint === 'submit')
    assert.equal(request!.header('traceparent'), TRACEPARENT)
  })
})
