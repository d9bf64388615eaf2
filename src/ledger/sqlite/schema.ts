import { ANSWERS, JOBS } from './columns.ts'

/**
 * The tables of a new file. `seq` is the order of arrival. The blobs come last, so that reading the rest never touches
 * their overflow pages.
 *
 * - `results` and `pieces`: see version 2; `log_marks`: see versions 3 and 5; `kept` and `shares`: see version 4.
 * - `kept_values`: see version 6; `usage`: see version 7.
 * - `totals` are the number of jobs and the bytes of all shares.
 */
export const NEWEST_SCHEMA = `
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY, ${JOBS.definitions},
    request BLOB, result BLOB, intermediate BLOB
  ) STRICT;
  CREATE UNIQUE INDEX jobs_by_id ON jobs(id);
  CREATE INDEX jobs_by_caller ON jobs(caller);
  CREATE INDEX jobs_unfinished ON jobs(caller) WHERE finished_at IS NULL;
  CREATE INDEX jobs_finished ON jobs(finished_at) WHERE finished_at IS NOT NULL;
  CREATE INDEX jobs_finished_by_caller ON jobs(caller, finished_at) WHERE finished_at IS NOT NULL;

  CREATE TABLE results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    caller TEXT NOT NULL,
    job INTEGER,
    result_bytes INTEGER NOT NULL,
    intermediate_bytes INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX results_by_job ON results(job) WHERE job IS NOT NULL;
  CREATE INDEX results_without_job ON results(seq) WHERE job IS NULL;
  CREATE TABLE pieces (
    seq INTEGER PRIMARY KEY,
    result INTEGER NOT NULL,
    part INTEGER NOT NULL,
    number INTEGER NOT NULL,
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX pieces_in_order ON pieces(result, part, number);

  CREATE TABLE answers (seq INTEGER PRIMARY KEY, ${ANSWERS.definitions}) STRICT;
  CREATE UNIQUE INDEX answers_by_key ON answers(caller, path, key);
  CREATE INDEX answers_by_age ON answers(created_at);
  CREATE INDEX answers_by_caller ON answers(caller, created_at);

  CREATE TABLE kept (
    caller TEXT PRIMARY KEY,
    share TEXT NOT NULL,
    removable INTEGER NOT NULL,
    fixed INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX kept_by_share ON kept(share, removable) WHERE removable > 0;
  CREATE TABLE shares (
    share TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    removable INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX shares_by_size ON shares(bytes) WHERE removable > 0;

  CREATE TABLE reqnums (worker TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE kept_values (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT;
  CREATE TABLE totals (one INTEGER PRIMARY KEY, jobs INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
  INSERT INTO totals VALUES (1, 0, 0);
  CREATE TABLE probe (seq INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;
  CREATE TABLE log_marks (
    one INTEGER PRIMARY KEY,
    expected INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    file BLOB NOT NULL
  ) STRICT;
  INSERT INTO log_marks VALUES (1, 0, 0, randomblob(16));

  CREATE TABLE usage (
    day INTEGER NOT NULL,
    caller TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    PRIMARY KEY (day, caller, model)
  ) STRICT, WITHOUT ROWID;
`

/**
 * Version 2: results in pieces, and what each caller keeps.
 *
 * A finished job whose `result` is NULL has its result and intermediate results (`part` 0 and 1) in pieces of about
 * 1 MB. They are written while they arrive and become visible when `results.job` names the job, in the transaction that
 * ends it. A result with no job is being received or waits to be removed; its number is never given twice, so no
 * leftover can become part of another result.
 */
const PIECES_AND_CALLERS = `
  CREATE TABLE results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    caller TEXT NOT NULL,
    job INTEGER,
    result_bytes INTEGER NOT NULL,
    intermediate_bytes INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX results_by_job ON results(job) WHERE job IS NOT NULL;
  CREATE INDEX results_without_job ON results(seq) WHERE job IS NULL;

  CREATE TABLE pieces (
    seq INTEGER PRIMARY KEY,
    result INTEGER NOT NULL,
    part INTEGER NOT NULL,
    number INTEGER NOT NULL,
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX pieces_in_order ON pieces(result, part, number);

  CREATE TABLE kept (
    caller TEXT PRIMARY KEY,
    finished_bytes INTEGER NOT NULL,
    unfinished_bytes INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO kept
    SELECT caller,
      sum(iif(finished_at IS NULL, 0, bytes)),
      sum(iif(finished_at IS NULL, bytes, 0))
    FROM (
      SELECT caller, finished_at, 300 + octet_length(containers)
        + ifnull(length(request), 0) + ifnull(length(result), 0) + ifnull(length(intermediate), 0) AS bytes
      FROM jobs
    )
    GROUP BY caller;
`

/**
 * Version 3: whether the main file is complete without its write-ahead log. `expected` is raised just before the log is
 * copied into the file, `seen` just after, so that the rise of `seen` is in the log alone: a copy of the file that has
 * lost its log shows two different numbers.
 */
const LOG_MARKS = `
  CREATE TABLE log_marks (one INTEGER PRIMARY KEY, expected INTEGER NOT NULL, seen INTEGER NOT NULL) STRICT;
  INSERT INTO log_marks VALUES (1, 0, 0);
`

/**
 * Version 4: who gives way where too much is kept. `kept` and `shares` are summed up anew, with answers and pieces of
 * results: `removable` are finished jobs and answers, `fixed` unfinished requests and results without a job. A share is
 * one caller, or all of one IPv6 network; callers of earlier versions are shares by themselves.
 */
const SHARES = `
  DROP TABLE kept;
  CREATE TABLE kept (
    caller TEXT PRIMARY KEY,
    share TEXT NOT NULL,
    removable INTEGER NOT NULL,
    fixed INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX kept_by_share ON kept(share, removable) WHERE removable > 0;
  CREATE TABLE shares (
    share TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    removable INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX shares_by_size ON shares(bytes) WHERE removable > 0;
  CREATE INDEX jobs_finished_by_caller ON jobs(caller, finished_at) WHERE finished_at IS NOT NULL;
  CREATE INDEX answers_by_caller ON answers(caller, created_at);

  INSERT INTO kept
    SELECT caller, caller, sum(iif(is_removable, bytes, 0)), sum(iif(is_removable, 0, bytes))
    FROM (
      SELECT caller, finished_at IS NOT NULL AS is_removable, 300 + octet_length(containers)
        + ifnull(length(request), 0) + ifnull(length(result), 0) + ifnull(length(intermediate), 0) AS bytes
      FROM jobs
      UNION ALL
      SELECT results.caller, results.job IS NOT NULL, length(pieces.bytes)
      FROM pieces JOIN results ON results.seq = pieces.result
      UNION ALL
      SELECT caller, 1, 300 + octet_length(caller) + octet_length(path) + octet_length(key)
        + octet_length(content_type) + ifnull(octet_length(node), 0) + length(body_hash) + length(body)
      FROM answers
    )
    GROUP BY caller;
  INSERT INTO shares SELECT share, removable + fixed, removable FROM kept;
  UPDATE totals SET bytes = (SELECT ifnull(sum(bytes), 0) FROM shares);
`

/** Version 5: which file this is, so that a log is not laid over another one. A backup is a file of its own. */
const FILE_IDENTITY = `
  ALTER TABLE log_marks ADD COLUMN file BLOB NOT NULL DEFAULT x'';
  UPDATE log_marks SET file = randomblob(16);
`

/** Version 6: small values that are kept beside the jobs. */
const KEPT_VALUES = `
  CREATE TABLE kept_values (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT;
`

/** Version 7: what callers used by day, in days since 1970-01-01 (UTC). */
const USAGE = `
  CREATE TABLE usage (
    day INTEGER NOT NULL,
    caller TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    PRIMARY KEY (day, caller, model)
  ) STRICT, WITHOUT ROWID;
`

/**
 * Step n brings a file of version n + 1 to version n + 2. Steps that were released never change; a new one is added for
 * each change of NEWEST_SCHEMA.
 */
export const MIGRATIONS: readonly string[] = [PIECES_AND_CALLERS, LOG_MARKS, SHARES, FILE_IDENTITY, KEPT_VALUES, USAGE]

/** A file of a later version was written by a newer gateway. */
export const SCHEMA_VERSION = MIGRATIONS.length + 1
