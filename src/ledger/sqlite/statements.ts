import type { DatabaseSync } from 'node:sqlite'
import { ANSWER_OVERHEAD_BYTES } from '../ledger.ts'
import { ANSWER_COLUMNS, JOB_COLUMNS } from './wire.ts'
import { preparerFor } from './rows.ts'

const FINISHED_COLUMNS = `seq, caller,
  octet_length(containers) + ifnull(length(result), 0) + ifnull(length(intermediate), 0), result IS NULL`
/** Such a row as `answerBytes` counts it. */
const ANSWER_BYTES = `${ANSWER_OVERHEAD_BYTES} + octet_length(caller) + octet_length(path) + octet_length(key)
  + octet_length(content_type) + ifnull(octet_length(node), 0) + length(body_hash) + length(body)`

/** The statements of `SqliteStore`; their rows are arrays. */
export type Statements = ReturnType<typeof prepareStatements>

export function prepareStatements(db: DatabaseSync) {
  const prepare = preparerFor(db)
  const marks = (columns: string): string => columns.replaceAll(/\w+/g, '?')
  const isAlive = '(finished_at IS NULL OR finished_at > ?)'
  return {
    begin: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
    rollback: prepare('ROLLBACK'),
    totals: prepare('SELECT jobs, bytes FROM totals WHERE one = 1'),
    addToTotals: prepare('UPDATE totals SET jobs = jobs + ?, bytes = bytes + ? WHERE one = 1'),
    insertProbe: prepare('INSERT INTO probe (filler) VALUES (zeroblob(?))'),
    deleteOldProbes: prepare('DELETE FROM probe WHERE seq < (SELECT max(seq) FROM probe)'),
    insertJob: prepare(`INSERT INTO jobs (${JOB_COLUMNS}, request) VALUES (${marks(JOB_COLUMNS)}, ?)`),
    seqOf: prepare('SELECT seq, finished_at, length(request), caller, octet_length(containers) FROM jobs WHERE id = ?'),
    rerun: prepare(
      'UPDATE jobs SET node = ?, node_job_id = ?, local_address = ?, runs = ?, run_started_at = ? WHERE seq = ?',
    ),
    markLeft: prepare('UPDATE jobs SET client_gone = 1 WHERE seq = ?'),
    finish: prepare(
      'UPDATE jobs SET state = ?, finished_at = ?, request = NULL, result = ?, intermediate = ? WHERE seq = ?',
    ),
    unfinished: prepare(
      `SELECT ${JOB_COLUMNS}, seq FROM jobs INDEXED BY jobs_unfinished
       WHERE finished_at IS NULL AND (caller, seq) > (?, ?) ORDER BY caller, seq LIMIT ?`,
    ),
    request: prepare('SELECT request FROM jobs WHERE id = ?'),
    find: prepare(`SELECT ${JOB_COLUMNS} FROM jobs WHERE id = ? AND ${isAlive}`),
    listAll: prepare(
      `SELECT seq, id, finished_at FROM jobs INDEXED BY jobs_by_caller
       WHERE caller = ? AND seq > ? ORDER BY seq LIMIT ?`,
    ),
    listUnfinished: prepare(
      `SELECT seq, id, finished_at FROM jobs INDEXED BY jobs_unfinished
       WHERE caller = ? AND finished_at IS NULL AND seq > ? ORDER BY seq LIMIT ?`,
    ),
    unfinishedSizes: prepare(
      `SELECT id, octet_length(containers) + ifnull(length(request), 0), caller, seq FROM jobs INDEXED BY jobs_unfinished
       WHERE finished_at IS NULL AND (caller, seq) > (?, ?) ORDER BY caller, seq LIMIT ?`,
    ),
    expiredJobs: prepare(
      `SELECT ${FINISHED_COLUMNS} FROM jobs INDEXED BY jobs_finished
       WHERE finished_at <= ? ORDER BY finished_at LIMIT ?`,
    ),
    oldestJobsOf: prepare(
      `SELECT ${FINISHED_COLUMNS} FROM jobs INDEXED BY jobs_finished_by_caller
       WHERE caller = ? AND finished_at IS NOT NULL ORDER BY finished_at LIMIT ?`,
    ),
    deleteJob: prepare('DELETE FROM jobs WHERE seq = ?'),
    answerAge: prepare(
      `SELECT seq, created_at, ${ANSWER_BYTES} FROM answers WHERE caller = ? AND path = ? AND key = ?`,
    ),
    insertAnswer: prepare(
      `INSERT INTO answers (${ANSWER_COLUMNS}, body_hash, body) VALUES (${marks(ANSWER_COLUMNS)}, ?, ?)`,
    ),
    deleteAnswer: prepare('DELETE FROM answers WHERE seq = ?'),
    expiredAnswers: prepare(
      `SELECT seq, caller, ${ANSWER_BYTES} FROM answers WHERE created_at <= ? ORDER BY created_at LIMIT ?`,
    ),
    oldestAnswersOf: prepare(
      `SELECT seq, caller, ${ANSWER_BYTES} FROM answers WHERE caller = ? ORDER BY created_at LIMIT ?`,
    ),
    keptAnswer: prepare(
      `SELECT ${ANSWER_COLUMNS}, body_hash, body FROM answers
       WHERE caller = ? AND path = ? AND key = ? AND created_at > ?`,
    ),
    nextReqnum: prepare(
      'INSERT INTO reqnums VALUES (?, 1) ON CONFLICT (worker) DO UPDATE SET last = last + 1 RETURNING last',
    ),
  }
}
