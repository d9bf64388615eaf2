/** What signals do to a gateway, also to one that npm or a terminal stands between. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openStream, request } from '../../kit/http.ts'
import type { OpenStream } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually, freePort, tempDir, within } from '../../kit/wait.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** A stream of about two seconds. */
const STREAM = { pieces: 20, pieceMs: 100 }

async function openRunning(url: string): Promise<OpenStream> {
  const stream = await openStream(`${url}/api/jobs/stream`, { body: jobOf(STREAM) })
  await stream.until((text) => text.includes('piece0'))
  return stream
}

function exitOf(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  return within(exited, 30_000, () => 'the exit')
}

async function assertNobodyListens(url: string): Promise<void> {
  await assert.rejects(request(`${url}/livez`), { code: 'ECONNREFUSED' })
}

describe('a gateway', { concurrency: 4 }, () => {
  test('takes two signals within a second for one, and drains', async (t) => {
    const gateway = await gatewayFor(t, [await startFakeNode({ rateLimit: 0 }, t)])
    const stream = await openRunning(gateway.url)
    gateway.signal('SIGINT')
    gateway.signal('SIGTERM')
    gateway.signal('SIGINT')
    assert.equal((await stream.ended).complete, true)
    assert.deepEqual(await gateway.exited, { code: 0, signal: null })
  })

  test('rereads its files on SIGHUP, says so, and goes on', async (t) => {
    const nodes = [await startFakeNode({ rateLimit: 0 }, t), await startFakeNode({ rateLimit: 0 }, t)]
    const gateway = await gatewayFor(t, nodes.slice(0, 1))
    const stream = await openRunning(gateway.url)
    await gateway.setNodes(nodes.map(({ address }) => address))
    gateway.signal('SIGHUP')
    await gateway.waitForLog(({ message, signal }) => message === 'rereading all files' && signal === 'SIGHUP')
    await gateway.ready(2)
    assert.equal((await stream.ended).complete, true)
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null })
  })
})

describe('a gateway that was started by npm', { concurrency: 4 }, () => {
  /** `npm start` in a process group of its own, as in a terminal, serving one node. */
  async function npmStart(t: TestContext): Promise<{ npm: ChildProcess; url: string }> {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const folder = await tempDir(t)
    await writeFile(join(folder, 'ips.txt'), `${node.address}\n`)
    const port = await freePort()
    const npm = spawn('npm', ['start'], {
      cwd: ROOT,
      env: {
        ...{ PATH: process.env['PATH'], HOME: folder, npm_config_update_notifier: 'false', STATE_URL: 'memory:' },
        ...{ PORT: String(port), HOST: '127.0.0.1', IPS_FILE: join(folder, 'ips.txt') },
      },
      stdio: 'ignore',
      detached: true,
    })
    t.after(() => killGroup(npm))
    const url = `http://127.0.0.1:${port}`
    await eventually(async () => (await request(`${url}/readyz`)).status === 200, { withinMs: 60_000, everyMs: 50 })
    return { npm, url }
  }

  function killGroup({ pid = 0 }: ChildProcess): void {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // All of it has ended.
    }
  }

  test('drains when npm is told to stop; npm waits for it, and nothing is left', async (t) => {
    const { npm, url } = await npmStart(t)
    const stream = await openRunning(url)
    const exit = exitOf(npm)
    npm.kill('SIGTERM')
    assert.equal((await stream.ended).complete, true)
    assert.deepEqual(await exit, [0, null])
    await assertNobodyListens(url)
  })

  test('drains at Ctrl-C, which reaches both of them', async (t) => {
    const { npm, url } = await npmStart(t)
    const stream = await openRunning(url)
    const exit = exitOf(npm)
    process.kill(-npm.pid!, 'SIGINT')
    assert.equal((await stream.ended).complete, true)
    await exit
    await assertNobodyListens(url)
  })
})

test('a gateway whose terminal is closed drains as at SIGTERM', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const folder = await tempDir(t)
  await writeFile(join(folder, 'ips.txt'), `${node.address}\n`)
  const port = await freePort()
  // A pseudo-terminal that is closed when this process's standard input ends.
  const python = `import os, pty, sys
pid, terminal = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
sys.stdin.read()
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`
  const cli = join(ROOT, 'src/cli.ts')
  const terminal = spawn('python3', ['-c', python, process.execPath, cli], {
    cwd: folder,
    env: { PATH: process.env['PATH'], STATE_URL: 'memory:', PORT: String(port), HOST: '127.0.0.1', LOG_LEVEL: 'error' },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  t.after(() => terminal.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  await eventually(async () => (await request(`${url}/readyz`)).status === 200, { withinMs: 60_000, everyMs: 50 })
  const stream = await openRunning(url)
  const exit = exitOf(terminal)
  terminal.stdin.end()
  assert.equal((await stream.ended).complete, true)
  assert.deepEqual(await exit, [0, null])
  await assertNobodyListens(url)
})
