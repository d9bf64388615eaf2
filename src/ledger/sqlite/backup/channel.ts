import { relative } from 'node:path'

// How `--backup` and a running gateway speak, over a socket beside the ledger. The gateway copies its log into the main
// file and leaves that alone while the other process copies it: the gateway's own work goes on, into the log.
//
//   backup:  BACKUP <absolute path of the copy>
//   gateway: COPY              the main file is complete, and stays so until the connection ends
//   backup:  COPIED
//   gateway: CONSISTENT        it was left alone meanwhile
//
// Where the ledger's file is not in its place any more, the gateway writes the copy itself and answers WRITTEN.
// `FAILED <why>` may come in place of each answer.

export const WORDS = {
  backup: 'BACKUP ',
  copy: 'COPY',
  copied: 'COPIED',
  consistent: 'CONSISTENT',
  written: 'WRITTEN',
  failed: 'FAILED ',
} as const

/** Longer ones are cut by some systems. */
const MAX_SOCKET_PATH_BYTES = 100

/** Where the gateway that has this ledger listens: as a short path, since sockets allow no long ones. */
export function socketPathOf(ledgerPath: string): string | undefined {
  const path = `${ledgerPath}-backup`
  const fromHere = relative(process.cwd(), path)
  const shortest = fromHere.length < path.length ? fromHere : path
  return Buffer.byteLength(shortest) <= MAX_SOCKET_PATH_BYTES ? shortest : undefined
}
