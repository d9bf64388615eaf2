/** The ledger's file under a running gateway: deleted, copied without its log, backed up. */
import assert from 'node:assert/strict'
import { copyFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { runCli } from '../../config/processes.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { eventually, within } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import { assertEchoed, ended, startNodes, submitMany, submitted, submitTo } from './support.ts'

const SQLITE = { STATE_URL: 'sqlite:data/gateway.db' }

describe("the ledger's file", { concurrency: 3 }, () => {
  test('once it is deleted new jobs get 503 and /health is degraded and says why, until it is back', async (t) => {
    const nodes = await startNodes(t, 1)
    const gateway = await gatewayFor(t, nodes, SQLITE)
    const ids = await submitMany(gateway, 3)
    await ended(gateway, ids)
    const path = join(gateway.cwd, 'data/gateway.db')
    await rename(path, `${path}.away`)
    const health = () => request(`${gateway.url}/health`)
    const isDegraded = async () => (await health()).json<{ degraded: boolean }>().degraded
    await eventually(isDegraded)
    const { status, text } = await health()
    assert.equal(status, 200)
    assert.match(text, /"status":"healthy".*its file was deleted or replaced/)
    for (const path of ['/readyz', '/info', '/api/v1/ip']) {
      assert.equal((await request(gateway.url + path)).status, 200, path)
    }
    const answer = await submitTo(gateway, jobOf({}))
    assert.match(assertError(answer, 503), /its file was deleted or replaced/)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
    const line = await gateway.waitForLog(({ message = '' }) => message.startsWith('ledger: put '))
    assert.ok(String(line.message).includes(path))
    assert.equal((await ended(gateway, ids)).length, 3)
    await rename(`${path}.away`, path)
    await eventually(async () => !(await isDegraded()), { withinMs: 30_000 })
    assertEchoed((await ended(gateway, [await submitted(gateway, { n: 1 })]))[0], { n: 1 })
  })

  test('a copy of it without its log is refused, and a copy by --backup has every job', async (t) => {
    const nodes = await startNodes(t, 1)
    const gateway = await gatewayFor(t, nodes, SQLITE)
    const ids = await submitMany(gateway, 20)
    await ended(gateway, ids)
    const { cwd } = gateway
    const unfinished = await submitMany(gateway, 3, () => ({ seconds: 1 }))
    const copied = await runCli(['--backup', 'backup.db'], { env: SQLITE, cwd })
    assert.deepEqual([copied.exitCode, copied.stderr], [0, ''])
    assert.match(copied.stdout, /^backup\.db holds 23 jobs in \d+ bytes\n$/)
    await copyFile(join(cwd, 'data/gateway.db'), join(cwd, 'alone.db'))
    await gateway.kill()

    const refused = await spawnGateway(t, { env: { STATE_URL: 'sqlite:alone.db' }, cwd, listening: false })
    const { code } = await within(refused.exited, 30_000, () => 'the end of a gateway that cannot start')
    assert.equal(code, 1)
    assert.match(refused.output, /^cannot start: .*STATE_URL: .*alone\.db-wal with the latest jobs is missing/m)

    // Restored as docker/README.md says: in place of the ledger, without the log of that.
    for (const name of ['gateway.db', 'gateway.db-wal']) await rm(join(cwd, 'data', name), { force: true })
    await rename(join(cwd, 'backup.db'), join(cwd, 'data/gateway.db'))
    await gateway.setNodes(nodes.map(({ address }) => address))
    await gateway.restart()
    assert.equal((await ended(gateway, [...ids, ...unfinished])).length, 23)
  })
})
