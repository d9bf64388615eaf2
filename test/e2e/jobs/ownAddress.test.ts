/** Nodes know jobs by the address of whoever sent them: where that changes, unknown is not lost. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { assertEchoed, ended, entriesOf, runsOn, startNodes, submitMany } from './support.ts'

const PRELOADED = new URL('otherAddress.ts', import.meta.url).href

describe('a gateway under another address than before', () => {
  test('does not run jobs again that its nodes no longer show it, and hears of them when it is back', async (t) => {
    const nodes = await startNodes(t, 2, { concurrency: 10 })
    const gateway = await gatewayFor(t, nodes, {
      STATE_URL: 'sqlite:data/gateway.db',
      NODE_OPTIONS: `--import ${PRELOADED}`,
    })
    const ids = await submitMany(gateway, 6, (n) => ({ n, seconds: 1 }))
    await gateway.kill()
    await gateway.restart({ OWN_ADDRESS: '127.0.0.60' })
    // Long enough to take them for forgotten, were it not for the address.
    for (const node of nodes) {
      const looks = (): number => node.seen('jobs').filter(({ remoteAddress }) => remoteAddress === '127.0.0.60').length
      await node.waitFor(() => looks() >= 4, { withinMs: 20_000 })
    }
    for (const { status } of await entriesOf(gateway, ids)) assert.equal(status, 'running')
    await gateway.kill()
    await gateway.restart({ OWN_ADDRESS: '' })
    const entries = await ended(gateway, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 1 }))
    assert.equal(await runsOn(nodes), 6)
  })
})
