import type { DatabaseSync } from 'node:sqlite'
import { LOOKED_AT } from '../browse.ts'
import { ANSWER_OVERHEAD_BYTES } from '../ledger.ts'
import { ANSWERS, JOBS, RUN_FIELDS } from './columns.ts'
import { preparerFor } from './rows.ts'

/** A row of an answer as `answerBytes` counts it. */
export const ANSWER_BYTES = `${ANSWER_OVERHEAD_BYTES} + octet_length(caller) + octet_length(path) + octet_length(key)
  + octet_length(content_type) + ifnull(octet_length(node), 0) + length(body_hash) + length(body)`

/** The statements of `SqliteStore`; their rows are arrays. */
export type Statements = ReturnType<typeof prepareStatements>

export function prepareStatements(db: DatabaseSync) {
  const prepare = preparerFor(db)
  const isAlive = '(finished_at IS NULL OR finished_at > ?)'
  /** The newest jobs before one, as many as are looked at, of which some fit: state, node and container, each twice, then their number. */
  const browsing = (where: string): string =>
    `SELECT seq, ${JOBS.names}
     FROM (SELECT seq, ${JOBS.names} FROM jobs ${where} ORDER BY seq DESC LIMIT ${LOOKED_AT})
     WHERE ${isAlive} AND (? = '' OR state = ?) AND (? = '' OR node = ?)
       AND (? = '' OR EXISTS (SELECT 1 FROM json_each(containers) WHERE value = ?))
     ORDER BY seq DESC LIMIT ?`
  const lookedAt = (where: string): string =>
    `SELECT count(*), min(seq) FROM (SELECT seq FROM jobs ${where} ORDER BY seq DESC LIMIT ${LOOKED_AT})`
  return {
    begin: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
    rollback: prepare('ROLLBACK'),
    insertProbe: prepare('INSERT INTO probe (filler) VALUES (zeroblob(?))'),
    deleteOldProbes: prepare('DELETE FROM probe WHERE seq < (SELECT max(seq) FROM probe)'),
    insertJob: prepare(`INSERT INTO jobs (${JOBS.names}, request) VALUES (${JOBS.marks}, ?)`),
    runningJob: prepare(
      `SELECT seq, octet_length(containers), ifnull(length(request), 0), caller, node, finished_at
       FROM jobs WHERE id = ?`,
    ),
    startRun: prepare(`UPDATE jobs SET ${JOBS.assignments(RUN_FIELDS)} WHERE seq = ? AND runs = ?`),
    markLeft: prepare('UPDATE jobs SET client_gone = 1 WHERE seq = ?'),
    finish: prepare(
      'UPDATE jobs SET state = ?, finished_at = ?, request = NULL, result = ?, intermediate = ? WHERE seq = ?',
    ),
    unfinished: prepare(
      `SELECT seq, octet_length(containers) + ifnull(length(request), 0), ${JOBS.names}
       FROM jobs INDEXED BY jobs_unfinished
       WHERE finished_at IS NULL AND (caller, seq) > (?, ?) ORDER BY caller, seq LIMIT ?`,
    ),
    request: prepare('SELECT request FROM jobs WHERE id = ?'),
    find: prepare(`SELECT ${JOBS.names} FROM jobs WHERE id = ? AND ${isAlive}`),
    listAll: prepare(
      `SELECT seq, id, finished_at FROM jobs INDEXED BY jobs_by_caller
       WHERE caller = ? AND seq > ? ORDER BY seq LIMIT ?`,
    ),
    listUnfinished: prepare(
      `SELECT seq, id, finished_at FROM jobs INDEXED BY jobs_unfinished
       WHERE caller = ? AND finished_at IS NULL AND seq > ? ORDER BY seq LIMIT ?`,
    ),
    browse: prepare(browsing('WHERE seq < ?')),
    browseCaller: prepare(browsing('INDEXED BY jobs_by_caller WHERE caller = ? AND seq < ?')),
    lookedAt: prepare(lookedAt('WHERE seq < ?')),
    lookedAtCaller: prepare(lookedAt('INDEXED BY jobs_by_caller WHERE caller = ? AND seq < ?')),
    answerAge: prepare(
      `SELECT seq, created_at, ${ANSWER_BYTES} FROM answers WHERE caller = ? AND path = ? AND key = ?`,
    ),
    insertAnswer: prepare(`INSERT INTO answers (${ANSWERS.names}) VALUES (${ANSWERS.marks})`),
    deleteAnswer: prepare('DELETE FROM answers WHERE seq = ?'),
    idempotencyRecord: prepare(
      `SELECT ${ANSWERS.names} FROM answers WHERE caller = ? AND path = ? AND key = ? AND created_at > ?`,
    ),
    nextReqnum: prepare(
      'INSERT INTO reqnums VALUES (?, 1) ON CONFLICT (worker) DO UPDATE SET last = last + 1 RETURNING last',
    ),
    setReqnum: prepare(
      'INSERT INTO reqnums VALUES (?, ?) ON CONFLICT (worker) DO UPDATE SET last = max(last, excluded.last)',
    ),
    keptValue: prepare('SELECT value FROM kept_values WHERE name = ?'),
    keptValueNames: prepare('SELECT name FROM kept_values'),
    setKeptValue: prepare(
      'INSERT INTO kept_values VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    ),
    insertKeptValue: prepare('INSERT INTO kept_values VALUES (?, ?) ON CONFLICT (name) DO NOTHING'),
    replaceKeptValue: prepare('UPDATE kept_values SET value = ? WHERE name = ? AND value = ?'),
    deleteKeptValue: prepare('DELETE FROM kept_values WHERE name = ?'),
    jobsAfter: prepare(`SELECT seq, ${JOBS.names} FROM jobs WHERE seq > ? ORDER BY seq LIMIT ?`),
    answersAfter: prepare(`SELECT seq, ${ANSWERS.names} FROM answers WHERE seq > ? ORDER BY seq LIMIT ?`),
    reqnumsAfter: prepare('SELECT worker, last FROM reqnums WHERE worker > ? ORDER BY worker LIMIT ?'),
  }
}
