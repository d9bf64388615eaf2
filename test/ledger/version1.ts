/** A ledger's file as gateways of schema version 1 wrote it. */
import { DatabaseSync } from 'node:sqlite'
import type { JobRecord } from '../../src/ledger/ledger.ts'

const SCHEMA = `
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    caller TEXT NOT NULL,
    client_address TEXT NOT NULL,
    kind TEXT NOT NULL,
    containers TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    failover INTEGER NOT NULL,
    cost REAL,
    client_gone INTEGER NOT NULL,
    node TEXT NOT NULL,
    node_job_id TEXT NOT NULL,
    local_address TEXT NOT NULL,
    runs INTEGER NOT NULL,
    run_started_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    finished_at INTEGER,
    request BLOB,
    result BLOB,
    intermediate BLOB
  ) STRICT;
  CREATE UNIQUE INDEX jobs_by_id ON jobs(id);
  CREATE INDEX jobs_by_caller ON jobs(caller);
  CREATE INDEX jobs_unfinished ON jobs(caller) WHERE finished_at IS NULL;
  CREATE INDEX jobs_finished ON jobs(finished_at) WHERE finished_at IS NOT NULL;

  CREATE TABLE answers (
    seq INTEGER PRIMARY KEY,
    caller TEXT NOT NULL,
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    status INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    node TEXT,
    created_at INTEGER NOT NULL,
    body_hash BLOB NOT NULL,
    body BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX answers_by_key ON answers(caller, path, key);
  CREATE INDEX answers_by_age ON answers(created_at);

  CREATE TABLE reqnums (worker TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE totals (one INTEGER PRIMARY KEY, jobs INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
  INSERT INTO totals VALUES (1, 0, 0);
  CREATE TABLE probe (seq INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;

  PRAGMA application_id = 0x4947574c;
  PRAGMA user_version = 1;
`

/** A row of its table of jobs. */
export interface Version1Job {
  readonly record: JobRecord
  readonly request?: Buffer
  readonly result?: Buffer
  readonly intermediate?: Buffer
}

/** Writes such a file with these jobs, one kept answer and one counter. */
export function writeVersion1(path: string, jobs: readonly Version1Job[]): void {
  const db = new DatabaseSync(path)
  db.exec(`PRAGMA journal_mode = WAL; ${SCHEMA}`)
  const insert = db.prepare(`INSERT INTO jobs VALUES (${Array(20).fill('?').join(', ')})`)
  let bytes = 0
  jobs.forEach(({ record, request, result, intermediate }, index) => {
    const containers = JSON.stringify(record.containers)
    insert.run(
      index + 1,
      record.id,
      record.caller,
      record.clientAddress,
      record.kind,
      containers,
      record.createdAt,
      record.failover ? 1 : 0,
      record.cost ?? null,
      record.clientGone ? 1 : 0,
      record.node,
      record.nodeJobId,
      record.localAddress,
      record.runs,
      record.runStartedAt,
      record.state,
      record.finishedAt ?? null,
      request ?? null,
      result ?? null,
      intermediate ?? null,
    )
    const blobs = [request, result, intermediate]
    bytes += 300 + Buffer.byteLength(containers) + blobs.reduce((sum, blob) => sum + (blob?.length ?? 0), 0)
  })
  const answer = Buffer.from('{"id": "a"}')
  db.prepare('INSERT INTO answers VALUES (1, ?, ?, ?, 200, ?, NULL, ?, ?, ?)').run(
    '10.0.0.1',
    '/api/jobs',
    'once',
    'application/json',
    Date.now(),
    Buffer.alloc(32, 7),
    answer,
  )
  db.prepare('INSERT INTO reqnums VALUES (?, 7)').run('http://w')
  db.prepare('UPDATE totals SET jobs = ?, bytes = ?').run(jobs.length, bytes + 300 + answer.length)
  db.close()
}
