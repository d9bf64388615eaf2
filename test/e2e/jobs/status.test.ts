/** `PUT /api/status`: for the few who may, to the node that has the job, under that node's own id for it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assertError } from '../support.ts'
import { jobOf, statusReport } from '../../kit/builders/jobs.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { SharedGateway } from './site.ts'
import { ask, ended, entriesOf, type JobEntry, listed, runsOn, startNodes, submitted, type Target } from './support.ts'
import { eventually } from '../../kit/wait.ts'

function put(target: Target, body: object | string, from?: string): Promise<Answer> {
  const options = { method: 'PUT', body, ...(from !== undefined && { localAddress: from }) }
  return request(`${target.url}/api/status`, options)
}

describe('PUT /api/status', () => {
  const shared = new SharedGateway()

  test('is for those in STATUS_ALLOWED_IPS, by default this machine alone', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2)
    const id = await submitted(site, { seconds: 30 }, { from: '127.0.0.5' })
    const stranger = await put(site, statusReport(id), '127.0.0.5')
    assert.equal(stranger.status, 403)
    assert.deepEqual(stranger.json(), { error: 'Unauthorized' })
    // What it says of itself changes nothing.
    const forged = await request(`${site.url}/api/status`, {
      method: 'PUT',
      body: statusReport(id),
      localAddress: '127.0.0.5',
      headers: { 'X-Forwarded-For': '127.0.0.1', 'X-Real-IP': '127.0.0.1' },
    })
    assert.equal(forged.status, 403)
    assert.equal(assertError(await put(site, statusReport('no-such-job')), 404), 'No such job')
    for (const node of nodes) assert.deepEqual(node.seen('status'), [])

    const answer = await put(site, statusReport(id))
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.text.trim(), 'null')
    const owner = nodes.find((node) => node.address === answer.headers['x-infernet-node'])!
    assert.equal(owner.seen('status')[0]!.json<{ id: string }>().id, id)
    // A node takes it at its word, and its client soon hears of it.
    const [entry] = await ended(site, [id], { from: '127.0.0.5' })
    assert.deepEqual([entry?.status, entry?.result], ['success', null])
  })

  test('sets a state that does not stand against the result which the node has later', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    const batch = await post(`${site.url}/api/jobs/batch`, [jobOf({ seconds: 4, n: 2 }, [site.container])], {
      localAddress: site.from,
    })
    const ids = [await submitted(site, { seconds: 4, n: 1 }), batch.json<{ id: string }[]>()[0]!.id]
    for (const id of ids) assert.equal((await put(site, statusReport(id, 'failed'))).status, 200)
    const waited = await ask(site, `?id=${ids[0]}&wait=30`)
    assert.deepEqual(waited.json<JobEntry[]>()[0], { id: ids[0]!, result: null, status: 'failed' })
    for (const entry of await ended(site, ids)) assert.deepEqual([entry.status, entry.result], ['failed', null])
    assert.deepEqual(await listed(site, '?pending=true'), [])
    assert.deepEqual((await listed(site, '?pending=false')).toSorted(), ids.toSorted())
    const haveResults = async (): Promise<boolean> =>
      (await entriesOf(site, ids)).every(({ status }) => status === 'success')
    await eventually(haveResults, { withinMs: 30_000 })
    const entries = await entriesOf(site, ids)
    for (const [index, entry] of entries.entries())
      assert.deepEqual(entry.result?.output, { container: site.container, echo: { seconds: 4, n: index + 1 } })
    assert.deepEqual((await listed(site, '?pending=false')).toSorted(), ids.toSorted())
    assert.equal(await runsOn([node!]), 2)
  })

  test('answers 404 for an unknown id, whatever else the body holds', async (t) => {
    const site = shared.site(t)
    for (const body of ['{"id":"nope"}', { ...statusReport('nope'), ip: '127.0.0.5' }, { id: 'nope', containers: 7 }]) {
      assert.equal(assertError(await put(site, body), 404), 'No such job')
    }
    assertError(await put(site, '{"id":"nope"}', '127.0.0.5'), 403)
  })

  test('admits addresses and ranges', async (t) => {
    const nodes = await startNodes(t, 1)
    const gateway = await gatewayFor(t, nodes, { STATUS_ALLOWED_IPS: '127.0.0.7,127.0.3.0/24' })
    const id = await submitted(gateway, { seconds: 30 })
    for (const from of ['127.0.0.7', '127.0.3.99']) {
      assert.equal((await put(gateway, statusReport(id), from)).status, 200, from)
    }
    for (const from of ['127.0.0.1', '127.0.0.8', '127.0.4.1'])
      assertError(await put(gateway, statusReport(id), from), 403)
  })

  test('reaches a job that was moved, under the id that its node gave it', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2)
    const id = await submitted(site, { seconds: 30 })
    const first = nodes.find((node) => node.seen('submit').length > 0)!
    const second = nodes.find((node) => node !== first)!
    const moved = second.next('jobAccepted', () => true, 20_000)
    await first.forget()
    const { id: nodeJobId } = await moved
    await site.gateway.waitForLog(({ message }) => message === 'job runs again')
    const body = `{"status":"failed", "id" :"${id}","containers":["echo"],"data":{"n":1.50}}`
    const answer = await put(site, body)
    assert.equal(answer.status, 200)
    assert.equal(second.seen('status')[0]!.text, body.replace(id, nodeJobId))
    assert.deepEqual(first.seen('status'), [])
    await ended(site, [id])
    assert.deepEqual(await listed(site), [id])
  })

  test('reads just enough of the body to know the job, and refuses what could pass for another', async (t) => {
    const site = shared.site(t)
    await site.nodes(1)
    const id = await submitted(site, { seconds: 30 })
    for (const body of [
      '',
      '[]',
      '{',
      '{}',
      { ...statusReport(id), id: 7 },
      { id, status: 'success' },
      { ...statusReport(id), ip: '127.0.0.5' },
      `{"id":"${id}","id":"other","status":"success","containers":[]}`,
    ]) {
      assertError(await put(site, body), 400)
    }
    // The node's own refusal passes through.
    const answer = await put(site, statusReport(id, 'nonsense'))
    assert.equal(answer.status, 400)
    assert.deepEqual(answer.json(), { error: 'Status is invalid' })
  })
})
