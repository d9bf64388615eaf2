/** `npm run demo` as a person starts it: on a terminal, or into a pipe. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode } from '../config/processes.ts'
import { request } from '../kit/http.ts'
import { openTerminal } from '../kit/terminal.ts'
import { eventually, tempDir, type Cleanup } from '../kit/wait.ts'

const DEMO = fileURLToPath(new URL('demo.ts', import.meta.url))
const ANY_PORT = ['--port', '0'] as const

/** The demo in a folder of its own for what it keeps meanwhile. */
async function place(t: Cleanup) {
  const folder = await tempDir(t)
  return { folder, cwd: folder, env: { PATH: process.env['PATH'], TMPDIR: folder, TERM: 'xterm' } }
}

/** Processes of a session or a process group, from `/proc/N/stat`: pid, name, state, parent, group, session. */
async function processesOf(id: number): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')))
  return stats.filter((stat) => {
    const [state, , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state !== 'Z' && [Number(group), Number(session)].includes(id)
  })
}

async function assertNothingLeft(id: number, folder: string): Promise<void> {
  assert.deepEqual(await processesOf(id), [])
  assert.deepEqual(await readdir(folder), [])
}

const skip = existsSync('/proc/self/stat') ? false : 'no /proc to look for processes in'

describe('npm run demo', { concurrency: 4, skip }, () => {
  test('on a terminal shows each job once, also after a resize, then the dashboard; Ctrl-C leaves nothing', async (t) => {
    const { folder, ...options } = await place(t)
    const command = [process.execPath, DEMO, ...ANY_PORT] as const
    const terminal = await openTerminal(t, { ...options, command, columns: 80, rows: 24 })
    const job = /^ {2}[0-9a-f]{8} {2}127\.0\.0\.1:\d+ \(\w+\) .*[█░]/
    const first = await terminal.whenShown(/^ {2}[0-9a-f]{8} .*success/)
    assert.equal(new Set(first.filter((row) => job.test(row))).size, first.filter((row) => job.test(row)).length)
    terminal.resize({ columns: 50, rows: 24 })
    const rows = (await terminal.whenShown(/one call read all 12/)).filter((row) => job.test(row))
    assert.equal(rows.length, 12, rows.join('\n'))
    assert.equal(new Set(rows.map((row) => row.slice(0, 10))).size, 12, rows.join('\n'))
    assert.ok(rows.every((row) => row.length < 50))

    const end = await terminal.whenShown(/Ctrl-C ends/)
    const dashboard = end.find((row) => row.endsWith('/dashboard'))!.trim()
    assert.equal((await request(dashboard)).status, 200)
    terminal.interrupt()
    assert.equal(await terminal.exit, 130)
    await assert.rejects(request(dashboard), { code: 'ECONNREFUSED' })
    await assertNothingLeft(terminal.session, folder)
  })

  test('leaves nothing when its terminal is closed', async (t) => {
    const { folder, ...options } = await place(t)
    const command = [process.execPath, DEMO, ...ANY_PORT] as const
    const terminal = await openTerminal(t, { ...options, command, columns: 80, rows: 24 })
    await terminal.whenShown(/jobs, sent/)
    terminal.close()
    await terminal.exit
    await assertNothingLeft(terminal.session, folder)
  })

  test('leaves nothing when the reader of its output goes', async (t) => {
    const { folder, ...options } = await place(t)
    const child = spawn(process.execPath, [DEMO, ...ANY_PORT], {
      ...options,
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => child.kill('SIGKILL'))
    const exit = once(child, 'exit')
    await once(child.stdout, 'data')
    child.stdout.destroy()
    assert.deepEqual(await exit, [0, null])
    await assertNothingLeft(child.pid!, folder)
  })

  test('leaves nothing when it is ended before the gateway listens', async (t) => {
    const { folder, ...options } = await place(t)
    const child = spawn(process.execPath, [DEMO, ...ANY_PORT], { ...options, detached: true, stdio: 'ignore' })
    t.after(() => child.kill('SIGKILL'))
    const exit = once(child, 'exit')
    // The gateway has been started in it, or will be in a moment.
    await eventually(async () => (await readdir(folder)).length > 0, { everyMs: 1 })
    child.kill('SIGTERM')
    assert.deepEqual(await exit, [143, null])
    await assertNothingLeft(child.pid!, folder)
  })

  test('-- --help says what it does and what can be asked of it; an unknown option is refused with a hint', async () => {
    const { exitCode, stdout } = await runNode([DEMO, '--help'])
    assert.equal(exitCode, 0)
    for (const word of ['npm run demo [-- ', '--once', '--port', 'Ctrl-C']) assert.ok(stdout.includes(word), word)
    assert.deepEqual(await runNode([DEMO, '-h']), { exitCode, stdout, stderr: '' })
    assert.deepEqual(await runNode([DEMO, '--onec']), {
      exitCode: 2,
      stdout: '',
      stderr: "Unknown option '--onec'; --help lists the options\n",
    })
  })
})
