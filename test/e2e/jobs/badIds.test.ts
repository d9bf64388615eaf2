/** Nodes whose ids cannot travel on: they are no ids, and harm nobody but their own jobs. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { finishedEntry, jobOf } from '../../kit/builders/jobs.ts'
import { openStream, post } from '../../kit/http.ts'
import { assertError } from '../support.ts'
import { startScriptedNode } from './scriptedNode.ts'
import { SharedGateway } from './site.ts'
import { ended, listed, optionsOf, submitTo, submitted } from './support.ts'

const UNUSABLE = {
  'a line break': 'a\nb',
  'what no header holds': 'a→b',
  'half a character': '\ud800',
  'a space': 'a b',
  nothing: '',
  'too much': 'a'.repeat(201),
}

describe('an id of', { concurrency: 3 }, () => {
  const shared = new SharedGateway()

  for (const [what, id] of Object.entries(UNUSABLE)) {
    test(`${what} is a 502, and no job is kept`, async (t) => {
      const site = shared.site(t)
      const node = await startScriptedNode(
        t,
        site.container,
        (response) => response.end('[]'),
        () => id,
      )
      await site.list(node)
      assertError(await submitTo(site, jobOf({}, [site.container])), 502)
      const batch = await post(`${site.url}/api/jobs/batch`, [jobOf({}, [site.container])], optionsOf(site))
      // A node's batch says how each item fared by its place alone.
      assert.deepEqual([batch.status, Array.isArray(batch.json())], [502, false])
      assert.deepEqual(await listed(site), [])
    })
  }

  test('a stream that cannot be used is a 502 too', async (t) => {
    const site = shared.site(t)
    const node = await startScriptedNode(
      t,
      site.container,
      (response) => response.end('[]'),
      () => 'a→b',
    )
    await site.list(node)
    const body = jobOf({}, [site.container])
    const stream = await openStream(`${site.url}/api/jobs/stream`, { body, ...optionsOf(site) })
    assert.equal(stream.status, 502)
    assert.deepEqual(await listed(site), [])
  })
})

describe('an entry of more members than anybody reads', () => {
  const shared = new SharedGateway()

  test('hides no other', async (t) => {
    const site = shared.site(t)
    const members = Array.from({ length: 100_001 }, (_, i) => `"${i}":0`).join()
    const node = await startScriptedNode(t, site.container, (response, ids) => {
      response.end(`[{${members}},${ids.map((id) => finishedEntry(id, '"fine"')).join()}]`)
    })
    await site.list(node)
    const [entry] = await ended(site, [await submitted(site)])
    assert.deepEqual(entry?.result, { container: 'echo', output: 'fine' })
  })
})
