import { closeSync, openSync, readSync } from 'node:fs'

/** Of the log and of each frame in it (https://sqlite.org/fileformat2.html#walformat), bytes. */
const LOG_HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
/** Frames that are looked at. A log begins with a write to the marks; only a migration may come before. */
const FRAMES_LOOKED_AT = 256

/** A leaf of a table with a single row (https://sqlite.org/fileformat2.html#b_tree_pages). */
const TABLE_LEAF = 0x0d
const CELL_COUNT_AT = 3
const FIRST_CELL_AT = 8
/** Serial types of a row of `log_marks`: `one` is the rowid and stored as NULL, `file` is a blob of 16 bytes. */
const NULL_TYPE = 0
const LAST_INTEGER_TYPE = 9
const IDENTITY_BYTES = 16
const IDENTITY_TYPE = 12 + 2 * IDENTITY_BYTES

/**
 * The identity of the file that a write-ahead log was written for: the column `file` of `log_marks` in the first page of that
 * table in the log; undefined where there is none. Read from the bytes: SQLite would look for the table where the schema of the
 * file beside the log says, and a copy may have its tables on other pages.
 */
export function loggedIdentity(log: string): Buffer | undefined {
  let file: number | undefined
  try {
    file = openSync(log, 'r')
    const header = Buffer.alloc(LOG_HEADER_BYTES)
    if (readSync(file, header, 0, LOG_HEADER_BYTES, 0) < LOG_HEADER_BYTES) return undefined
    const pageBytes = header.readUInt32BE(8)
    // Pages have 512 to 65,536 bytes; anything else is no log.
    if (pageBytes < 512 || pageBytes > 65_536) return undefined
    const salts = header.subarray(16, 24)
    const frame = Buffer.alloc(FRAME_HEADER_BYTES + pageBytes)
    for (let number = 0; number < FRAMES_LOOKED_AT; number++) {
      const at = LOG_HEADER_BYTES + number * frame.length
      if (readSync(file, frame, 0, frame.length, at) < frame.length) return undefined
      // Frames behind the end of the log are left of an earlier one.
      if (!frame.subarray(8, 16).equals(salts)) return undefined
      const identity = identityIn(frame.subarray(FRAME_HEADER_BYTES))
      if (identity) return identity
    }
    return undefined
  } catch {
    // Opening the ledger then reports why the log cannot be read.
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** The identity in a page, where it is the one of `log_marks`. */
function identityIn(page: Buffer): Buffer | undefined {
  if (page[0] !== TABLE_LEAF || page.readUInt16BE(CELL_COUNT_AT) !== 1) return undefined
  const cell = page.subarray(page.readUInt16BE(FIRST_CELL_AT))
  // All of these are varints below 128: one byte each.
  const [payloadBytes = 0, rowid, headerBytes, one, expected = Infinity, seen = Infinity, identity] = cell
  if (rowid !== 1 || headerBytes !== 5 || one !== NULL_TYPE || identity !== IDENTITY_TYPE) return undefined
  if (expected > LAST_INTEGER_TYPE || seen > LAST_INTEGER_TYPE) return undefined
  const end = 2 + payloadBytes
  return Buffer.from(cell.subarray(end - IDENTITY_BYTES, end))
}
