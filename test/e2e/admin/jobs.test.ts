/** `/admin/jobs`: what operators see of the jobs of all callers. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { assertError } from '../support.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { request } from '../../kit/http.ts'
import { ended, startNodes, submitted, submitTo } from '../jobs/support.ts'

const file = { after }
const OPS = { Authorization: 'Bearer ops-1' }
const nodes = await startNodes(file, 1, { containers: ['echo', { id: 'dead', dead: true }] })
const { address } = nodes[0]!
const gateway = await gatewayFor(file, nodes, {
  OPS_KEY: 'ops-1',
  API_KEYS: 'first,second',
  STATE_URL: 'sqlite:jobs.db',
})

interface Shown {
  id: string
  state: string
  error: string | null
  caller: string
  node: string
}
const browsed = async (query: string): Promise<{ jobs: Shown[]; next: string | null }> => {
  const answer = await request(`${gateway.url}/admin/jobs${query}`, { headers: OPS })
  assert.equal(answer.status, 200, answer.text)
  return answer.json()
}
const by = (key: string): { headers: Record<string, string> } => ({ headers: { 'X-API-Key': key } })

test('operators see the jobs of all callers by state, caller, node and container, in pages, and why they failed, but no bodies', async () => {
  const good = await submitted(gateway, { hush: 'secret-input' }, by('first'))
  const bad = (await submitTo(gateway, jobOf({}, ['dead']), by('second'))).json<{ id: string }>().id
  await ended(gateway, [good], by('first'))
  await ended(gateway, [bad], by('second'))
  const running = await submitted(gateway, { seconds: 60 }, by('second'))
  const idsOf = async (query: string): Promise<string[]> => (await browsed(query)).jobs.map(({ id }) => id)
  assert.deepEqual(await idsOf(''), [running, bad, good])
  assert.deepEqual(await idsOf('?state=running'), [running])
  assert.deepEqual(await idsOf('?container=dead'), [bad])
  assert.deepEqual(await idsOf(`?node=${address}&state=success`), [good])
  assert.deepEqual(await idsOf('?node=10.9.9.9'), [])
  const first = await browsed('?limit=2')
  assert.deepEqual(await idsOf(`?limit=2&after=${first.next}`), [good])
  const [failed] = (await browsed('?state=failed')).jobs
  assert.ok(failed!.error && failed!.node === address && failed!.caller.startsWith('key:'))
  assert.deepEqual(await idsOf(`?caller=${failed!.caller}`), [running, bad])
  const one = await request(`${gateway.url}/admin/jobs/${good}`, { headers: OPS })
  assert.equal(one.json<Shown>().state, 'success')
  assert.ok(![one.text, JSON.stringify(await browsed(''))].join().includes('secret-input'))
})

test('nobody else does, and a bad question is refused', async () => {
  for (const path of ['/admin/jobs', '/admin/jobs/x']) {
    assertError(await request(gateway.url + path, by('first')), 401)
    assertError(await request(gateway.url + path), 401)
  }
  for (const query of ['?state=lost', '?limit=0', '?limit=201', '?limit=x', '?after=%20', '?stat=failed'])
    assertError(await request(`${gateway.url}/admin/jobs${query}`, { headers: OPS }), 400)
  assertError(await request(`${gateway.url}/admin/jobs/unknown`, { headers: OPS }), 404)
})
