/** What a SQLite ledger keeps over the end of its process, and that it belongs to one process at a time. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { PIECE_BYTES } from '../../src/ledger/ledger.ts'
import { aJob, anAnswer, anEnd } from '../kit/builders/jobs.ts'
import { eventually, tempDir, within, type Cleanup } from '../kit/wait.ts'
import { finishedJobs, ledgerPath, sqliteAt, unfinishedIn, wholeOf } from './ledgerKit.ts'

test('a killed process loses nothing that was acknowledged', async (t) => {
  const path = await ledgerPath(t)
  const recorder = startRecorder(t, path)
  const said: string[] = []
  for await (const line of recorder.lines) {
    said.push(line)
    if (said.length === 500) recorder.process.kill('SIGKILL')
  }
  const ledger = await sqliteAt(t, path)
  const finished = new Set(said.filter((line) => line.startsWith('finished')).map((line) => line.slice(9)))
  const inserted = said.filter((line) => line.startsWith('inserted')).map((line) => line.slice(9))
  assert.ok(inserted.length > 200 && finished.size > 100, `${inserted.length} inserted, ${finished.size} finished`)
  for (const id of inserted) {
    const [job] = await ledger.read('10.0.0.1', [id])
    assert.ok(job, `${id} is lost`)
    if (finished.has(id)) assert.equal(String(await wholeOf(job.result)), `"result of ${id}"`)
    else if (job.state === 'running') assert.equal(String(await ledger.request(id)), `request of ${id}`)
  }
})

test('a second gateway is refused while the first one lives, and no longer', async (t) => {
  const path = await ledgerPath(t)
  const first = startRecorder(t, path)
  assert.deepEqual(await once(first.lines, 'line'), ['opened'])
  await once(first.lines, 'line')
  const inUse = {
    code: 'ERR_LEDGER_OPEN',
    message: `STATE_URL: ${path} is in use by another gateway; each needs a file of its own`,
  }
  await assert.rejects(sqliteAt(t, path), inUse)
  const second = startRecorder(t, path)
  const [refusal] = (await once(second.lines, 'line')) as [string]
  assert.equal(refusal, `refused ${inUse.message}`)
  first.process.kill('SIGKILL')
  await once(first.process, 'exit')
  const ledger = await sqliteAt(t, path)
  assert.ok(ledger.health().jobs > 0)
  await assert.rejects(sqliteAt(t, path), inUse)
})

test('a refused second gateway in the same process does not loosen the lock of the first', async (t) => {
  const path = await ledgerPath(t)
  await sqliteAt(t, path)
  await assert.rejects(sqliteAt(t, path), { code: 'ERR_LEDGER_OPEN' })
  const other = startRecorder(t, path)
  const [refusal] = (await once(other.lines, 'line')) as [string]
  assert.match(refusal, /^refused .* is in use by another gateway/)
})

test('a ledger that another SQLite client has open is refused as that, and not as another gateway’s', async (t) => {
  const path = await ledgerPath(t)
  await (await sqliteAt(t, path)).close()
  const shell = new DatabaseSync(path)
  t.after(() => shell.isOpen && shell.close())
  const locked = { code: 'ERR_LEDGER_OPEN', message: /is locked by another process, such as a sqlite3 shell/ }
  for (const statements of [
    'SELECT count(*) FROM jobs',
    'BEGIN',
    'SELECT count(*) FROM jobs',
    'COMMIT; BEGIN IMMEDIATE',
  ]) {
    shell.exec(statements)
    await assert.rejects(sqliteAt(t, path), locked)
  }
  shell.close()
  await sqliteAt(t, path)
})

test('jobs, answers, numbers and sums are there again after a restart', async (t) => {
  const path = await ledgerPath(t)
  const first = await sqliteAt(t, path)
  const running = aJob({ cost: 3 })
  const answer = anAnswer()
  await first.insert([{ record: running, request: Buffer.from('request') }], answer)
  const finished = await finishedJobs(first, 10)
  assert.equal(await first.nextReqnum('http://w'), 1)
  const before = first.health()
  await first.close()

  const second = await sqliteAt(t, path)
  assert.deepEqual(await unfinishedIn(second), [running])
  assert.equal(String(await second.request(running.id)), 'request')
  assert.deepEqual(await second.list('10.0.0.1', 'finished'), finished)
  assert.deepEqual(await second.idempotencyRecord(answer.caller, answer.path, answer.key), answer)
  assert.equal(await second.nextReqnum('http://w'), 2)
  assert.deepEqual(second.health(), before)
})

test('pieces of a result that was never complete are removed at the next start, complete ones stay', async (t) => {
  const path = await ledgerPath(t)
  const first = await sqliteAt(t, path)
  const [unfinished, finished] = [aJob(), aJob()]
  await first.insert([{ record: unfinished }, { record: finished }])
  const piece = Buffer.alloc(PIECE_BYTES, 'p')
  for (const record of [unfinished, finished]) {
    const received = await first.receive(record.caller)
    for (let count = 0; count < 3; count++) await received.add('result', piece)
    if (record === finished) await received.finish(record.id, { state: 'success', finishedAt: Date.now() })
  }
  await first.close()
  const second = await sqliteAt(t, path)
  await eventually(() => second.health().keptBytes < 4 * PIECE_BYTES)
  const [job] = await second.read(finished.caller, [finished.id])
  assert.ok((await wholeOf(job?.result)).equals(Buffer.alloc(3 * PIECE_BYTES, 'p')))
  assert.ok(second.health().keptBytes > 3 * PIECE_BYTES)
})

test('what was asked for before closing is done first', async (t) => {
  const path = await ledgerPath(t)
  const first = await sqliteAt(t, path)
  const record = aJob()
  const inserted = first.insert([{ record }])
  const finished = first.finish(record.id, anEnd())
  await first.close()
  await inserted
  assert.equal(await finished, true)
  assert.equal((await (await sqliteAt(t, path)).find(record.id))?.state, 'success')
})

test('a new ledger is readable by its owner alone, and so are the folders made for it', async (t) => {
  const path = join(await tempDir(t), 'made', 'for it', 'gateway.db')
  const ledger = await sqliteAt(t, path)
  await ledger.insert([{ record: aJob() }])
  const modeOf = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8)
  assert.equal(await modeOf(path), '600')
  assert.equal(await modeOf(`${path}-wal`), '600')
  assert.equal(await modeOf(dirname(path)), '700')
  assert.equal(await modeOf(dirname(dirname(path))), '700')
})

test('an open ledger does not keep the process alive', async (t) => {
  const path = await ledgerPath(t)
  const code = `
    const { SqliteLedger } = await import(${JSON.stringify(new URL('../../src/ledger/sqlite/ledger.ts', import.meta.url).href)})
    const ledger = await SqliteLedger.open({ path: ${JSON.stringify(path)}, maxBytes: 1e9, ttlMs: 1e6, logger: console })
    await ledger.nextReqnum('w')
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' })
  t.after(() => child.kill('SIGKILL'))
  const ended = within(once(child, 'exit'), 20_000, () => 'the end of a process with an idle ledger')
  assert.deepEqual(await ended, [0, null])
})

function startRecorder(t: Cleanup, path: string): { process: ChildProcess; lines: ReturnType<typeof createInterface> } {
  const file = new URL('recorder.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [file, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  return { process: child, lines: createInterface({ input: child.stdout }) }
}
