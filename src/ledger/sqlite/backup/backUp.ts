import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { constants, copyFile, open, rename, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { dirname, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { refuseForeignLog } from '../foreignLog.ts'
import { LedgerOpenError } from '../../ledger.ts'
import { stateOf } from '../../open.ts'
import { lock, openError, refuseForeignFile } from '../file.ts'
import { giveIdentity, logPathOf, refuseMissingLog, setMarksEqual } from '../log.ts'
import { socketPathOf, WORDS } from './channel.ts'
import { writeCopy } from './writeCopy.ts'

/** What a backup holds. */
export interface Backup {
  readonly file: string
  readonly jobs: number
  readonly bytes: number
}

/** A backup that was not made. The message is one line for the operator. */
class BackupError extends Error {
  override readonly name = 'BackupError'
}

/**
 * Makes a consistent copy of the ledger that a STATE_URL names, with everything in it that was acknowledged before. A
 * gateway that runs goes on meanwhile. The file appears complete or not at all. Never call this in the process of that
 * gateway: closing the ledger's file here would drop the lock there.
 *
 * @throws BackupError, LedgerOpenError
 */
export async function backUp(stateUrl: string, target: string): Promise<Backup> {
  const state = stateOf(stateUrl)
  if (state.kind !== 'sqlite')
    throw new BackupError('--backup needs STATE_URL=sqlite:FILE; other ledgers are not in a file')
  const path = resolve(state.file)
  const file = resolve(target)
  refuseExisting(file)
  const part = `${file}.part-${process.pid}`
  try {
    // For its owner alone from the beginning: it holds requests and results.
    await (await open(part, 'wx', 0o600)).close()
    const socket = await connectTo(path)
    if (socket) await copyRunning(socket, path, part)
    else copyStopped(path, part)
    const jobs = complete(part)
    const bytes = await makeDurable(part)
    refuseExisting(file)
    await rename(part, file)
    return { file, jobs, bytes }
  } catch (error) {
    if (error instanceof LedgerOpenError || error instanceof BackupError) throw error
    throw new BackupError(`${file} cannot be written: ${(error as Error).message}`, { cause: error })
  } finally {
    for (const leftover of [part, logPathOf(part), `${part}-shm`, `${part}-journal`])
      await rm(leftover, { force: true })
  }
}

function refuseExisting(file: string): void {
  if (existsSync(file)) throw new BackupError(`${file} exists already; name a file that does not`)
}

/** The gateway that has the ledger; `undefined` where none listens. */
async function connectTo(path: string): Promise<Socket | undefined> {
  const socketPath = socketPathOf(path)
  if (socketPath === undefined) return undefined
  const socket = connect(socketPath)
  try {
    await once(socket, 'connect')
    return socket
  } catch {
    return undefined
  }
}

async function copyRunning(socket: Socket, path: string, part: string): Promise<void> {
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]()
  // A lost connection ends the answers.
  socket.on('error', () => socket.destroy())
  try {
    const answer = await ask(socket, answers, WORDS.backup + part)
    if (answer === WORDS.written) return
    if (answer !== WORDS.copy) throw refusalOf(answer)
    await copyFile(path, part, constants.COPYFILE_FICLONE)
    const outcome = await ask(socket, answers, WORDS.copied)
    if (outcome !== WORDS.consistent) throw refusalOf(outcome)
  } finally {
    socket.destroy()
  }
}

async function ask(socket: Socket, answers: AsyncIterator<string>, line: string): Promise<string | undefined> {
  socket.write(`${line}\n`)
  const { value } = (await answers.next()) as { value: string | undefined }
  return value
}

function refusalOf(answer: string | undefined): BackupError {
  if (answer?.startsWith(WORDS.failed)) return new BackupError(answer.slice(WORDS.failed.length))
  return new BackupError('the gateway ended the copy, because it stopped or because the copy took too long')
}

/** No gateway runs: the file is taken as one would take it, and its log with it. */
function copyStopped(path: string, part: string): void {
  if (!existsSync(path)) throw new BackupError(`${path} does not exist: there is nothing to back up`)
  refuseForeignLog(path)
  const hasLog = existsSync(logPathOf(path))
  const db = new DatabaseSync(path, { timeout: 0 })
  try {
    lock(db)
    refuseForeignFile(db, path)
    if (!hasLog) refuseMissingLog(db, path)
    // Closing copies the log of a killed gateway into the file and removes it.
    setMarksEqual(db)
    writeCopy(db, part)
  } catch (error) {
    throw openError(path, error)
  } finally {
    db.close()
  }
}

/** Checks the copy and marks it as complete without a log; returns how many jobs it holds. */
function complete(part: string): number {
  const db = new DatabaseSync(part)
  try {
    const [problem] = Object.values(db.prepare('PRAGMA quick_check(1)').get() ?? {})
    if (problem !== 'ok') throw new BackupError(`the copy is corrupt, as the ledger may be: ${String(problem)}`)
    setMarksEqual(db)
    giveIdentity(db)
    return Number(db.prepare('SELECT count(*) AS jobs FROM jobs').get()?.['jobs'])
  } finally {
    db.close()
  }
}

/** Brings file and folder to the disk; returns the file's size. */
async function makeDurable(part: string): Promise<number> {
  const file = await open(part, 'r')
  const { size } = await file.stat()
  await file.sync()
  await file.close()
  const folder = await open(dirname(part), 'r')
  await folder.sync()
  await folder.close()
  return size
}
