/** Waiting for the end of a job in place of asking for it again and again. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { assertError } from '../support.ts'
import { SharedGateway, type Site } from './site.ts'
import { ask, assertEchoed, ended, runsOn, startNodes, submitted, submitTo, type JobEntry } from './support.ts'

const submit = (site: Site, data: object, headers: Record<string, string> = {}) =>
  submitTo(site, jobOf(data, [site.container]), { headers })

describe('waiting for jobs', { concurrency: 4 }, () => {
  const shared = new SharedGateway()

  test('a read that waits answers when the job has ended', async (t) => {
    const site = shared.site(t)
    await site.nodes(1)
    const id = await submitted(site, { seconds: 0.3 })
    const answer = await ask(site, `?id=${id}&wait=60`)
    const [entry] = answer.json<JobEntry[]>()
    assertEchoed(entry, { seconds: 0.3 })
    assert.equal(answer.headers['preference-applied'], undefined)
  })

  test('it answers when the first of several has ended, with what the others are', async (t) => {
    const site = shared.site(t)
    await site.nodes(1, { concurrency: 10 })
    const long = await submitted(site, { seconds: 60 })
    const short = await submitted(site, { seconds: 0.2 })
    const answer = await ask(site, `?id=${long}&id=${short}`, { headers: { Prefer: 'wait=60' } })
    assert.deepEqual(
      answer.json<JobEntry[]>().map(({ id, status }) => [id, status]),
      [
        [long, 'running'],
        [short, 'success'],
      ],
    )
    assert.equal(answer.headers['preference-applied'], 'wait=60')
  })

  test('it answers as usual when the time is over, and at once where nothing runs', async (t) => {
    const site = shared.site(t)
    await site.nodes(1, { concurrency: 10 })
    const long = await submitted(site, { seconds: 60 })
    const [running] = (await ask(site, `?id=${long}&wait=0.2`)).json<JobEntry[]>()
    assert.equal(running?.status, 'running')
    const done = await submitted(site)
    await ended(site, [done])
    const [entry] = (await ask(site, `?id=${done}&wait=60`)).json<JobEntry[]>()
    assert.equal(entry?.status, 'success')
    assert.deepEqual((await ask(site, '?id=unknown&wait=60')).json(), [])
    assert.equal((await ask(site, '?wait=60')).json<string[]>().length, 2)
  })

  test('a wait that is no number is refused with what is allowed, a preference that cannot be understood is ignored', async (t) => {
    const site = shared.site(t)
    await site.nodes(1, { concurrency: 10 })
    const id = await submitted(site, { seconds: 60 })
    for (const wait of ['', '-1', 'soon', '1e3', 'Infinity']) {
      const message = assertError(await ask(site, `?id=${id}&wait=${wait}`), 400)
      assert.match(message, /wait must be a number of seconds/)
    }
    for (const preference of [
      'wait',
      'wait=',
      'wait=soon',
      'wait=-1',
      'wait=1.5',
      'respond-async',
      'x="a, wait=9"',
      'wait=0',
    ]) {
      const answer = await ask(site, `?id=${id}`, { headers: { Prefer: preference } })
      assert.equal(answer.status, 200, preference)
      assert.equal(answer.headers['preference-applied'], undefined, preference)
    }
  })

  test('more than a minute counts as a minute', async (t) => {
    const site = shared.site(t)
    await site.nodes(1)
    const id = await submitted(site, { seconds: 0.1 })
    const headers = { Prefer: 'respond-async, WAIT = "3600" ; x=y' }
    assert.equal((await ask(site, `?id=${id}`, { headers })).headers['preference-applied'], 'wait=60')
  })

  test('a submission that prefers to wait is answered with the result', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    const answer = await submit(site, { seconds: 0.2 }, { Prefer: 'wait=30' })
    const { id, status, result, ...more } = answer.json<JobEntry>()
    assert.match(id, /^[0-9a-f-]{36}$/)
    assert.deepEqual([status, more], ['success', {}])
    assertEchoed({ id, status, result }, { seconds: 0.2 })
    assert.equal(answer.headers['preference-applied'], 'wait=30')
    assert.equal(answer.headers['x-infernet-node'], node!.address)
    // The node is not the one to wait.
    assert.equal(node!.seen('submit').at(-1)!.header('prefer'), undefined)
  })

  test('a job that fails within the time is told as failed', async (t) => {
    const site = shared.site(t)
    await site.nodes(1)
    const answer = await submit(site, { fail: 'out of memory' }, { Prefer: 'wait=30' })
    const { status, result } = answer.json<JobEntry>()
    assert.equal(status, 'failed')
    assert.equal(typeof result?.error, 'string')
  })

  test('a submission whose job goes on is answered with its id when the time is over', async (t) => {
    const site = shared.site(t)
    await site.nodes(1)
    const answer = await submit(site, { seconds: 60 }, { Prefer: 'wait=1' })
    assert.deepEqual(Object.keys(answer.json<object>()), ['id'])
    assert.equal(answer.headers['preference-applied'], 'wait=1')
  })

  test('under an Idempotency-Key the id alone is kept', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(1)
    const headers = { Prefer: 'wait=30', 'Idempotency-Key': 'waits' }
    const first = await submit(site, { seconds: 0.1 }, headers)
    const again = await submit(site, { seconds: 0.1 }, headers)
    assert.equal(first.json<JobEntry>().status, 'success')
    assert.deepEqual(again.json(), { id: first.json<JobEntry>().id })
    assert.equal(await runsOn(nodes), 1)
  })

  test('who waits for a job whose node dies hears of its end at another', async (t) => {
    const site = shared.site(t)
    const dying = await site.process()
    const id = await submitted(site, { seconds: 0.5 })
    await site.nodes(1)
    const waiting = ask(site, `?id=${id}&wait=60`)
    await dying.kill()
    const [entry] = (await waiting).json<JobEntry[]>()
    assertEchoed(entry, { seconds: 0.5 })
  })
})

test('a gateway that shuts down answers at once who waits', async (t) => {
  const nodes = await startNodes(t, 1, { concurrency: 10 })
  const gateway = await gatewayFor(t, nodes)
  const id = await submitted(gateway, { seconds: 60 })
  const reading = ask(gateway, `?id=${id}&wait=60`)
  const submitting = submitTo(gateway, jobOf({ seconds: 60 }), { headers: { Prefer: 'wait=60' } })
  await nodes[0]!.waitFor(() => nodes[0]!.seen('submit').length === 2 && nodes[0]!.seen('jobs').length > 0)
  await gateway.stop()
  const [entry] = (await reading).json<JobEntry[]>()
  assert.equal(entry?.status, 'running')
  assert.deepEqual(Object.keys((await submitting).json<object>()), ['id'])
})
