/** A ledger whose file or log is lost: under a running gateway, or in a copy. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'
import { runCli } from '../config/processes.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'
import { finishedJobs, ledgerPath, LogLines, sqliteAt } from './ledgerKit.ts'

const GONE = 'its file was deleted or replaced'

suite('while the ledger is open', () => {
  const losses: Record<string, (path: string) => Promise<void>> = {
    'deleted file': (path) => rm(path),
    'deleted log': (path) => rm(`${path}-wal`),
    'replaced file': async (path) => {
      await copyFile(path, `${path}.copy`)
      await rename(`${path}.copy`, path)
    },
    'moved folder': async (path) => {
      await rename(dirname(path), `${dirname(path)}.away`)
      await mkdir(dirname(path))
    },
  }
  for (const [name, lose] of Object.entries(losses)) {
    test(`a ${name} is noticed, said, and nothing is acknowledged any more`, async (t) => {
      const logger = new LogLines()
      const path = await ledgerPath(t)
      const ledger = await sqliteAt(t, path, { logger })
      t.after(() => rm(`${dirname(path)}.away`, { recursive: true, force: true }))
      const [finished, record] = [await finishedJobs(ledger, 1), aJob()]
      await ledger.insert([{ record, request: Buffer.from('again') }])
      await lose(path)
      await eventually(() => !ledger.health().writable)
      assert.equal(ledger.health().reason, GONE)
      assert.deepEqual(logger.lines, [
        `error ledger: jobs cannot be recorded: ${GONE}`,
        `error ledger: put ${path} back, the same file, and the gateway goes on; ` +
          `to go on without it, stop the gateway, move ${path}-wal away too, and start`,
      ])
      await assert.rejects(ledger.insert([{ record: aJob() }]), {
        code: 'ERR_LEDGER',
        message: `The gateway cannot record jobs at the moment: ${GONE}`,
      })
      await assert.rejects(ledger.nextReqnum('worker'), { code: 'ERR_LEDGER' })
      assert.equal(await ledger.probe(), false)
      // What it had is still told, and so is what jobs that run come to.
      assert.equal(await ledger.finish(record.id, anEnd()), true)
      assert.deepEqual(await ledger.list(record.caller, 'finished'), [...finished, record.id])
    })
  }

  test('an insert right after the loss is refused, not acknowledged', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    await rm(path)
    await assert.rejects(ledger.insert([{ record: aJob() }]), { code: 'ERR_LEDGER' })
  })

  test('a file that comes back is written again, with what was held meanwhile', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const record = aJob()
    await ledger.insert([{ record }])
    await rename(path, `${path}.away`)
    assert.equal(await ledger.finish(record.id, anEnd()), true)
    assert.equal(ledger.health().held, 1)
    await rename(`${path}.away`, path)
    await eventually(() => ledger.health().writable && ledger.health().held === 0)
    await ledger.close()
    assert.deepEqual(await (await sqliteAt(t, path)).list(record.caller, 'finished'), [record.id])
  })

  test('a received result waits for the file to come back, and is not lost', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const [record, moved] = [aJob(), aJob()]
    await ledger.insert([{ record }, { record: moved }])
    const [received, unwanted] = [await ledger.receive(record.caller), await ledger.receive(record.caller)]
    await received.add('result', Buffer.from('"long"'))
    await rename(path, `${path}.away`)
    let isWanted = true
    const end = { state: 'success', finishedAt: Date.now() } as const
    const finished = Promise.all([received.finish(record.id, end), unwanted.finish(moved.id, end, () => isWanted)])
    await eventually(() => !ledger.health().writable)
    assert.deepEqual(await ledger.list(record.caller, 'finished'), [])
    isWanted = false
    await rename(`${path}.away`, path)
    assert.deepEqual(await finished, [true, false])
    assert.deepEqual(await ledger.list(record.caller, 'finished'), [record.id])
  })

  test('a stop after the log was deleted saves what was acknowledged', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const ids = await finishedJobs(ledger, 10)
    await rm(`${path}-wal`)
    await ledger.close()
    assert.deepEqual(await (await sqliteAt(t, path)).list('10.0.0.1', 'finished'), ids)
  })

  test('a stop after the file was replaced leaves the new file and its log alone', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    await finishedJobs(ledger, 10)
    await rm(path)
    await writeFile(path, 'theirs')
    await rm(`${path}-wal`)
    await writeFile(`${path}-wal`, 'their log')
    await ledger.close()
    assert.deepEqual([(await stat(path)).size, (await stat(`${path}-wal`)).size], [6, 9])
  })
})

suite('a copy of the file', () => {
  test('without the log that was in use is refused with what to do, and left as it is', async (t) => {
    const path = await ledgerPath(t)
    await finishedJobs(await sqliteAt(t, path), 10)
    const copy = await copyAlone(path)
    const { size } = await stat(copy)
    await assert.rejects(sqliteAt(t, copy), {
      code: 'ERR_LEDGER_OPEN',
      message:
        `STATE_URL: ${copy} was in use when it was copied or moved, and its log ${copy}-wal with the latest jobs is ` +
        `missing; put the log beside it, restore a copy made by --backup, or create an empty ${copy}-wal to go on ` +
        'without those jobs',
    })
    assert.equal((await stat(copy)).size, size)
    assert.deepEqual((await readdir(dirname(copy))).sort(), [
      'copy.db',
      'gateway.db',
      'gateway.db-backup',
      'gateway.db-wal',
    ])
    // As the message says.
    await writeFile(`${copy}-wal`, '')
    const ledger = await sqliteAt(t, copy)
    await ledger.insert([{ record: aJob() }])
    await ledger.close()
    assert.equal((await sqliteAt(t, copy)).health().jobs, 1)
  })

  test('of an older gateway without the log that has its tables is refused too', async (t) => {
    const path = await ledgerPath(t)
    const db = new DatabaseSync(path)
    db.exec('PRAGMA journal_mode = WAL; CREATE TABLE jobs (a)')
    const copy = await copyAlone(path)
    db.close()
    await assert.rejects(sqliteAt(t, copy), { code: 'ERR_LEDGER_OPEN', message: /its log .* is missing/ })
  })

  test('with its log, or after a stop, is the ledger', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const ids = await finishedJobs(ledger, 10)
    const copy = await copyAlone(path)
    await copyFile(`${path}-wal`, `${copy}-wal`)
    assert.deepEqual(await (await sqliteAt(t, copy)).list('10.0.0.1', 'finished'), ids)
    await ledger.close()
    const late = join(dirname(path), 'late.db')
    await copyFile(path, late)
    assert.deepEqual(await (await sqliteAt(t, late)).list('10.0.0.1', 'finished'), ids)
  })

  test('is complete after a shell has opened and closed what a killed gateway left', async (t) => {
    const path = await ledgerPath(t)
    const { inserted } = await killedAfter(t, path, 50)
    new DatabaseSync(path).close()
    const db = new DatabaseSync(path)
    db.exec('SELECT count(*) FROM jobs')
    db.close()
    assert.deepEqual(await readdir(dirname(path)).then((names) => names.filter((name) => name.endsWith('-wal'))), [])
    await hasAll(t, path, inserted)
  })
})

suite('a log beside another file is refused, and both are left as they are:', () => {
  const files: Record<string, (t: Cleanup, path: string) => Promise<string>> = {
    'a backup of the same ledger': async (_t, path) => {
      const backup = `${path}.saved`
      const env = { STATE_URL: `sqlite:${path}` }
      assert.equal((await runCli(['--backup', backup], { env, cwd: dirname(path) })).exitCode, 0)
      return backup
    },
    'a copy of the file from before the last start': async (_t, path) => `${path}.before`,
    'another ledger': async (t) => {
      const other = await ledgerPath(t)
      const ledger = await sqliteAt(t, other)
      await finishedJobs(ledger, 3)
      await ledger.close()
      return other
    },
  }
  for (const [name, prepare] of Object.entries(files)) {
    test(name, async (t) => {
      const path = await ledgerPath(t)
      const ledger = await sqliteAt(t, path)
      await finishedJobs(ledger, 5)
      await ledger.close()
      await copyFile(path, `${path}.before`)
      await killedAfter(t, path, 50)
      const other = await prepare(t, path)
      // As a kill leaves it: the backup was made of this one, and took its log into the file.
      await killedAfter(t, path, 50)
      await copyFile(other, path)
      const [file, log] = [await readFile(path), await readFile(`${path}-wal`)]
      await assert.rejects(sqliteAt(t, path), {
        code: 'ERR_LEDGER_OPEN',
        message:
          `STATE_URL: ${path}-wal is the log of another file than ${path} is now, such as the one before a copy took ` +
          `its place; move ${path}-wal away to start with ${path} as it is, or put the file of that log back`,
      })
      assert.deepEqual([await readFile(path), await readFile(`${path}-wal`)], [file, log])
      // As the message says.
      await rename(`${path}-wal`, `${path}.log`)
      await rm(`${path}-shm`, { force: true })
      const jobs = new DatabaseSync(other, { readOnly: true }).prepare('SELECT count(*) AS jobs FROM jobs').get()
      assert.equal((await sqliteAt(t, path)).health().jobs, jobs?.['jobs'])
    })
  }
})

suite('a killed gateway is never taken for a copy', () => {
  // The large ones have their log copied into the file several times meanwhile.
  for (const [lines, requestBytes] of [
    [1, 0],
    [2, 0],
    [300, 0],
    [400, 300_000],
    [700, 300_000],
  ] as const) {
    test(`killed after ${lines} lines with requests of ${requestBytes} bytes`, async (t) => {
      const path = await ledgerPath(t)
      const { inserted } = await killedAfter(t, path, lines, requestBytes)
      await hasAll(t, path, inserted)
    })
  }

  test('nor is one whose log is empty', async (t) => {
    const path = await ledgerPath(t)
    await killedAfter(t, path, 1)
    await truncate(`${path}-wal`, 0)
    await sqliteAt(t, path)
  })
})

async function copyAlone(path: string): Promise<string> {
  const copy = join(dirname(path), 'copy.db')
  await copyFile(path, copy)
  return copy
}

/** A process that records jobs and is killed after it has written so many lines; what it had acknowledged by then. */
async function killedAfter(t: Cleanup, path: string, lines: number, requestBytes = 0): Promise<{ inserted: string[] }> {
  const args = [join(import.meta.dirname, 'recorder.ts'), path, String(requestBytes)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const inserted: string[] = []
  let count = 0
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('inserted ')) inserted.push(line.slice('inserted '.length))
    if (++count === lines) child.kill('SIGKILL')
  }
  await exited
  return { inserted }
}

async function hasAll(t: Cleanup, path: string, ids: readonly string[]): Promise<void> {
  const ledger = await sqliteAt(t, path)
  const known = new Set(await ledger.list('10.0.0.1', 'all'))
  assert.deepEqual(
    ids.filter((id) => !known.has(id)),
    [],
  )
}
