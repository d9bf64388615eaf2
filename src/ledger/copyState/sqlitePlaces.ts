import { existsSync } from 'node:fs'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Logger } from '../../base/logger.ts'
import { ticketKeyFileBeside } from '../../base/ticketKey.ts'
import { logPathOf } from '../sqlite/log.ts'
import { SqliteLedger } from '../sqlite/ledger.ts'
import { CopyStateError } from './errors.ts'
import { KEEP_ALL, type CopySource, type CopyTarget } from './places.ts'

/**
 * Opens a ledger's file to read all of it. The file's lock shows whether a gateway works with it.
 *
 * @throws CopyStateError, LedgerOpenError
 */
export async function openSqliteSource(file: string, logger: Logger): Promise<CopySource> {
  const path = resolve(file)
  if (!existsSync(path)) throw new CopyStateError(`${path} does not exist: there is nothing to copy`)
  const ledger = await SqliteLedger.open({ path, logger, ...KEEP_ALL })
  return {
    ledger,
    state: ledger.portable(),
    ticketKey: () => readIfThere(ticketKeyFileBeside(path)),
    close: () => ledger.close(),
  }
}

/**
 * Makes a new ledger under a name of its own; `complete` gives it the name that it is to have.
 *
 * @throws CopyStateError, LedgerOpenError
 */
export async function openSqliteTarget(file: string, logger: Logger): Promise<CopyTarget> {
  const path = resolve(file)
  const draft = `${path}.incomplete`
  for (const taken of [path, logPathOf(path)]) {
    if (existsSync(taken))
      throw new CopyStateError(`${taken} exists already: move it away, or name a file that does not`)
  }
  for (const left of [draft, logPathOf(draft)]) {
    if (existsSync(left))
      throw new CopyStateError(`${left} is left of a copy that did not end: remove it and copy again`)
  }
  const ledger = await SqliteLedger.open({ path: draft, logger, ...KEEP_ALL })
  return {
    ledger,
    state: ledger.portable(),
    setTicketKey: (pem) => writeTicketKey(ticketKeyFileBeside(path), pem),
    complete: async () => {
      await ledger.close()
      await makeDurable(draft)
      await rename(draft, path)
      await makeDurable(dirname(path))
    },
    giveUp: async () => {
      await ledger.close()
      for (const left of [draft, logPathOf(draft)]) await rm(left, { force: true })
      return undefined
    },
  }
}

/** A key that is there already stays: if it is another one, the operator has to choose. */
async function writeTicketKey(file: string, pem: string): Promise<void> {
  const kept = await readIfThere(file)
  if (kept?.trim() === pem.trim()) return
  if (kept !== undefined) throw new CopyStateError(`${file} holds another ticket key: move it away, and copy again`)
  await using handle = await open(file, 'wx', 0o600)
  await handle.writeFile(pem)
  await handle.sync()
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CopyStateError(`${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

async function makeDurable(path: string): Promise<void> {
  await using handle = await open(path, 'r')
  await handle.sync()
}
