import type { SqliteStore } from './store.ts'

/**
 * The methods that the main thread calls, by name. Writes need a transaction, and those of a group share one. Reads go ahead
 * of writes that are under way; `readInTurn` sees all that was asked for before it.
 */
export const OPERATIONS = {
  insert: 'write',
  startRun: 'write',
  markLeft: 'write',
  finish: 'write',
  receive: 'write',
  addPiece: 'write',
  finishReceived: 'write',
  nextReqnum: 'write',
  setReqnum: 'write',
  setKeptValue: 'write',
  deleteKeptValue: 'write',
  replaceKeptValue: 'write',
  addUsage: 'write',
  probe: 'write',
  unfinished: 'readInTurn',
  list: 'readInTurn',
  browse: 'readInTurn',
  release: 'readInTurn',
  jobsAfter: 'readInTurn',
  answersAfter: 'readInTurn',
  reqnumsAfter: 'readInTurn',
  keptValue: 'readInTurn',
  keptValueNames: 'readInTurn',
  request: 'read',
  read: 'read',
  piece: 'read',
  find: 'read',
  idempotencyRecord: 'read',
  usageOf: 'read',
} as const satisfies { readonly [Name in keyof SqliteStore]?: 'read' | 'readInTurn' | 'write' }

export type Operation = keyof typeof OPERATIONS
