/** A node forgets a pending job when its record of it expires, 15 minutes after the start, even if it still runs: such a job is not run again. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { loadSettings } from '../../../src/config/settings.ts'
import { start } from '../../../src/main.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { freePort, tempDir } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { assertFailed, ended, runsOn, startNodes, submitted, type Target } from './support.ts'

/** A gateway in this process, in front of nodes whose records live that long, looking at them five times a second. */
async function gatewayOf(
  t: Cleanup,
  nodes: readonly { address: string }[],
  nodeRecordSeconds: number,
): Promise<Target> {
  const directory = await tempDir(t)
  await writeFile(join(directory, 'ips.txt'), nodes.map(({ address }) => `${address}\n`).join(''))
  const port = await freePort()
  const settings = loadSettings({
    environment: {
      PORT: String(port),
      HOST: '127.0.0.1',
      IPS_FILE: join(directory, 'ips.txt'),
      STATE_URL: 'memory:',
      DRAIN_TIMEOUT: '0.1',
    },
    workingDirectory: directory,
    packageRoot: directory,
    isTerminal: false,
  })
  const logger = createLogger({ level: 'error', format: 'json' })
  const gateway = await start(settings, logger, { nodeRecordSeconds, followPeriodSeconds: 0.2 })
  t.after(() => gateway.stop())
  return { url: `http://127.0.0.1:${port}` }
}

describe('the record that a node keeps of a pending job', () => {
  test('ends with the job failed, not run again, although it may still run there', async (t) => {
    const nodes = await startNodes(t, 2, { pendingTtl: 6 })
    const gateway = await gatewayOf(t, nodes, 6)
    const id = await submitted(gateway, { seconds: 60 })
    assertFailed((await ended(gateway, [id]))[0], 'echo')
    assert.equal(await runsOn(nodes), 1)
  })

  test('is taken for lost with the node’s memory before that', async (t) => {
    const nodes = await startNodes(t, 2)
    const gateway = await gatewayOf(t, nodes, 60)
    const id = await submitted(gateway, { seconds: 1 })
    for (const node of nodes) await node.forget()
    assert.equal((await ended(gateway, [id]))[0]?.status, 'success')
    assert.equal(await runsOn(nodes), 2)
  })
})
