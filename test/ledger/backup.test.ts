/** `--backup`: a consistent copy of a ledger, whether or not a gateway works with it meanwhile. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { basename, dirname, join, relative } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'
import { runCli, type Ended } from '../config/processes.ts'
import { aJob } from '../kit/builders/jobs.ts'
import { eventually, tempDir, type Cleanup } from '../kit/wait.ts'
import { writeVersion1 } from './version1.ts'
import { finishedJobs, ledgerPath, LogLines, sqliteAt } from './ledgerKit.ts'
import { aRow } from './usage/rows.ts'

suite('--backup', () => {
  test('beside a gateway under load holds everything acknowledged before, and nothing stands still', async (t) => {
    const path = await ledgerPath(t)
    const recorder = startRecorder(t, path)
    const inserted: string[] = []
    recorder.on('line', (line) => {
      if (line.startsWith('inserted ')) inserted.push(line.slice('inserted '.length))
    })
    await eventually(() => inserted.length > 300)
    const before = [...inserted]
    const copy = `${path}.copy`
    assert.deepEqual(await backup(path, copy), saved(copy, await jobsIn(copy), (await stat(copy)).size))
    const during = inserted.length
    assert.ok(during > before.length, 'nothing was recorded meanwhile')
    await eventually(() => inserted.length > during)
    assert.equal((await stat(copy)).mode & 0o777, 0o600)
    assert.deepEqual(await leftovers(copy), [])

    const ledger = await sqliteAt(t, copy)
    const known = new Set(await ledger.list('10.0.0.1', 'all'))
    assert.deepEqual(
      before.filter((id) => !known.has(id)),
      [],
    )
  })

  test('works without a gateway, after a stop and after a kill, and leaves the ledger as good as it was', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const ids = await finishedJobs(ledger, 10)
    const usage = aRow()
    await ledger.usage.add({ writer: 'w', number: 1, rows: [usage] })
    // As a kill leaves it: with its log.
    const killed = join(dirname(path), 'killed.db')
    await copyFile(path, killed)
    await copyFile(`${path}-wal`, `${killed}-wal`)
    await ledger.close()
    for (const source of [path, killed]) {
      const copy = `${source}.copy`
      assert.deepEqual(await backup(source, copy), saved(copy, 10, (await stat(copy)).size))
      for (const file of [copy, source]) {
        const opened = await sqliteAt(t, file)
        assert.deepEqual(await opened.list('10.0.0.1', 'all'), ids)
        assert.deepEqual(await opened.usage.read(usage.day), [usage])
      }
    }
  })

  test('of a ledger whose file was deleted under its gateway saves what was in it', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const ids = await finishedJobs(ledger, 10)
    await rm(path)
    await eventually(() => !ledger.health().writable)
    const { exitCode, stderr } = await backup(path, `${path}.copy`)
    assert.deepEqual([exitCode, stderr], [0, ''])
    assert.deepEqual(await (await sqliteAt(t, `${path}.copy`)).list('10.0.0.1', 'all'), ids)
  })

  test('copies a ledger of an older version as it is', async (t) => {
    const path = await ledgerPath(t)
    writeVersion1(path, [{ record: aJob() }])
    assert.equal((await backup(path, `${path}.copy`)).exitCode, 0)
    for (const file of [path, `${path}.copy`]) {
      const look = new DatabaseSync(file)
      assert.equal(look.prepare('PRAGMA user_version').get()?.['user_version'], 1)
      look.close()
    }
  })

  test('refuses what cannot be done with one line and exit code 1', async (t) => {
    const folder = await tempDir(t)
    const path = join(folder, 'gateway.db')
    const copy = join(folder, 'copy.db')
    const refused = async (line: string): Promise<void> =>
      assert.deepEqual(await backup(path, copy), { exitCode: 1, stdout: '', stderr: `no backup: ${line}\n` })
    await refused(`${path} does not exist: there is nothing to back up`)
    await writeFile(copy, 'theirs')
    await refused(`${copy} exists already; name a file that does not`)
    assert.equal(await readFile(copy, 'utf8'), 'theirs')
    await rm(copy)
    await writeFile(path, 'nonsense'.repeat(1000))
    await refused(
      `STATE_URL: ${path} is corrupt (file is not a database); it was left as it is: restore a copy, or move it away to start without the jobs in it`,
    )
    assert.deepEqual(await readdir(folder), ['gateway.db'])
    assert.deepEqual(await runCli(['--backup', copy], { env: { STATE_URL: 'memory:' }, cwd: folder }), {
      exitCode: 1,
      stdout: '',
      stderr: 'no backup: --backup needs STATE_URL=sqlite:FILE; other ledgers are not in a file\n',
    })
    for (const args of [['--backup'], ['--backup', '--check'], ['--backup', 'a', 'b']]) {
      const stderr = '--backup needs the name of a new file, alone\n'
      assert.deepEqual(await runCli(args, { cwd: folder }), { exitCode: 2, stdout: '', stderr })
    }
  })

  test('says so where the ledger is in use but its gateway cannot be reached', async (t) => {
    const path = await ledgerPath(t)
    await sqliteAt(t, path)
    await rm(`${path}-backup`)
    const { exitCode, stderr } = await backup(path, `${path}.copy`)
    assert.equal(exitCode, 1)
    assert.match(stderr, /^no backup: STATE_URL: .* is in use by another /)
  })
})

suite('while a copy is made', () => {
  test('the file stays as it is although the log grows, and is brought up to date afterwards', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const speaker = await askFor(t, path)
    assert.equal(await speaker.next(), 'COPY')
    const before = await digest(path)
    const record = async (): Promise<void> => ledger.insert([{ record: aJob(), request: Buffer.alloc(8e6) }])
    for (let count = 0; count < 10; count++) await record()
    assert.equal(await digest(path), before)
    speaker.socket.write('COPIED\n')
    assert.equal(await speaker.next(), 'CONSISTENT')
    await record()
    await eventually(async () => (await stat(path)).size > 70e6)
    assert.equal(ledger.health().jobs, 11)
  })

  test('a second one waits for its turn, and gets it when the first leaves', async (t) => {
    const path = await ledgerPath(t)
    await sqliteAt(t, path)
    const first = await askFor(t, path)
    assert.equal(await first.next(), 'COPY')
    const second = await askFor(t, path)
    const answer = second.next()
    first.socket.destroy()
    assert.equal(await answer, 'COPY')
  })

  test('a stop of the gateway does not wait, and the copy does not count', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const speaker = await askFor(t, path)
    assert.equal(await speaker.next(), 'COPY')
    await ledger.close()
    speaker.socket.write('COPIED\n')
    assert.equal(await speaker.next(), undefined)
    assert.deepEqual((await readdir(dirname(path))).sort(), ['gateway.db'])
  })

  test('a copy is not called consistent unless it was begun', async (t) => {
    const path = await ledgerPath(t)
    await sqliteAt(t, path)
    const speaker = await speakTo(t, path)
    speaker.socket.write('COPIED\n')
    assert.equal(await speaker.next(), undefined)
  })
})

test('a path too long for a socket is said, and the ledger opens all the same', async (t) => {
  const folder = join(await tempDir(t), 'long'.repeat(30))
  await mkdir(folder)
  const logger = new LogLines()
  const path = join(folder, 'gateway.db')
  const ledger = await sqliteAt(t, path, { logger })
  assert.deepEqual(logger.lines, [
    `warn ledger: --backup works only while the gateway is stopped: ${path} is too long a path`,
  ])
  await ledger.close()
  assert.equal((await backup(path, `${path}.copy`)).exitCode, 0)
})

function backup(path: string, copy: string): Promise<Ended> {
  return runCli(['--backup', copy], { env: { STATE_URL: `sqlite:${path}` }, cwd: dirname(path) })
}

function saved(copy: string, jobs: number, bytes: number): Ended {
  return { exitCode: 0, stdout: `${copy} holds ${jobs} jobs in ${bytes} bytes\n`, stderr: '' }
}

async function jobsIn(path: string): Promise<number> {
  const db = new DatabaseSync(path, { readOnly: true })
  const jobs = Number(db.prepare('SELECT count(*) AS jobs FROM jobs').get()?.['jobs'])
  db.close()
  return jobs
}

async function leftovers(copy: string): Promise<string[]> {
  const names = await readdir(dirname(copy))
  return names.filter((name) => name.startsWith(`${basename(copy)}.`))
}

function startRecorder(t: Cleanup, path: string): Interface {
  const file = join(import.meta.dirname, 'recorder.ts')
  const child = spawn(process.execPath, [file, path, '20000'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  return createInterface({ input: child.stdout })
}

interface Speaker {
  readonly socket: Socket
  next(): Promise<string | undefined>
}

/** Speaks to the gateway's socket by hand. */
async function speakTo(t: Cleanup, path: string): Promise<Speaker> {
  const socket = connect(relative(process.cwd(), `${path}-backup`))
  t.after(() => socket.destroy())
  socket.on('error', () => socket.destroy())
  await once(socket, 'connect')
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  return { socket, next: async () => (await lines.next()).value }
}

async function askFor(t: Cleanup, path: string): Promise<Speaker> {
  const speaker = await speakTo(t, path)
  speaker.socket.write(`BACKUP ${path}.copy\n`)
  return speaker
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return hash.digest('hex')
}
