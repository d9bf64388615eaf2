import type { JobRecord, JobRun, IdempotencyRecord } from '../ledger.ts'

type SqlValue = string | number | Uint8Array | null
/** The values of a record's columns, in the order of its table. */
export type Row = SqlValue[]

/** A column, and how a field of a record becomes its value. */
interface Column<Value> {
  readonly name: string
  readonly type: string
  readonly write: (value: Value) => SqlValue
  /** `undefined` leaves the field out of the record. */
  readonly read: (value: SqlValue) => Value
}

type ColumnsOf<Item> = { readonly [Field in keyof Item]-?: Column<Item[Field]> }

/** How records of one kind are stored: one column for each field, in the order in which they are listed. */
class RecordTable<Item extends object> {
  /** For CREATE TABLE. */
  readonly definitions: string
  /** For SELECT and INSERT. */
  readonly names: string
  readonly marks: string
  readonly #fields: readonly (keyof Item)[]
  readonly #columns: readonly Column<unknown>[]

  constructor(columns: ColumnsOf<Item>) {
    this.#fields = Object.keys(columns) as (keyof Item)[]
    this.#columns = Object.values(columns)
    this.definitions = this.#columns.map(({ name, type }) => `${name} ${type}`).join(', ')
    this.names = this.#columns.map(({ name }) => name).join(', ')
    this.marks = this.#columns.map(() => '?').join(', ')
  }

  rowOf(item: Item): Row {
    const row: Row = []
    for (let index = 0; index < this.#columns.length; index++) {
      row.push(this.#columns[index]!.write(item[this.#fields[index]!]))
    }
    return row
  }

  /** The values of some fields. */
  valuesOf<Field extends keyof Item>(item: Pick<Item, Field>, fields: readonly Field[]): Row {
    return fields.map((field) => this.#columns[this.positionOf(field)]!.write(item[field]))
  }

  itemOf(row: readonly SqlValue[]): Item {
    const item: Partial<Item> = {}
    this.#columns.forEach(({ read }, index) => {
      const value = read(row[index]!)
      if (value !== undefined) item[this.#fields[index]!] = value as Item[keyof Item]
    })
    return item as Item
  }

  /** Where in a row the column of a field is. */
  positionOf(field: keyof Item): number {
    return this.#fields.indexOf(field)
  }

  /** For UPDATE. */
  assignments(fields: readonly (keyof Item)[]): string {
    return fields.map((field) => `${this.#columns[this.positionOf(field)]!.name} = ?`).join(', ')
  }
}

function plain<Value>(name: string, type: string): Column<Value> {
  return { name, type, write: (value) => value as SqlValue, read: (value) => value as Value }
}

function text<Value extends string>(name: string): Column<Value> {
  return plain(name, 'TEXT NOT NULL')
}

function integer(name: string): Column<number> {
  return { ...plain(name, 'INTEGER NOT NULL'), write: Math.trunc }
}

function flag(name: string): Column<boolean> {
  return { name, type: 'INTEGER NOT NULL', write: (value) => (value ? 1 : 0), read: (value) => value === 1 }
}

/** A flag that is left out of the record unless it is set. */
function optionalFlag(name: string): Column<boolean | undefined> {
  return { ...flag(name), write: (value) => (value ? 1 : 0), read: (value) => (value === 1 ? true : undefined) }
}

function optional<Value>(name: string, type: string): Column<Value | undefined> {
  return { name, type, write: (value) => (value ?? null) as SqlValue, read: (value) => (value ?? undefined) as Value }
}

function json<Value>(name: string): Column<Value> {
  return {
    ...{ name, type: 'TEXT NOT NULL' },
    write: (value) => JSON.stringify(value),
    read: (value) => JSON.parse(value as string) as Value,
  }
}

function blob(name: string): Column<Buffer> {
  return { ...plain(name, 'BLOB NOT NULL'), read: (value) => bufferOf(value as Uint8Array) }
}

/** A view of the same bytes. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
}

/** A job without its request and its result. */
export const JOBS = new RecordTable<JobRecord>({
  id: text('id'),
  caller: text('caller'),
  clientAddress: text('client_address'),
  kind: text('kind'),
  containers: json('containers'),
  createdAt: integer('created_at'),
  failover: flag('failover'),
  cost: optional('cost', 'REAL'),
  clientGone: optionalFlag('client_gone'),
  node: text('node'),
  nodeJobId: text('node_job_id'),
  localAddress: text('local_address'),
  runs: integer('runs'),
  runStartedAt: integer('run_started_at'),
  state: text('state'),
  finishedAt: optional('finished_at', 'INTEGER'),
})

/** What another run changes. */
export const RUN_FIELDS: readonly (keyof JobRun)[] = ['node', 'nodeJobId', 'localAddress', 'runs', 'runStartedAt']

export const ANSWERS = new RecordTable<IdempotencyRecord>({
  caller: text('caller'),
  path: text('path'),
  key: text('key'),
  status: integer('status'),
  contentType: text('content_type'),
  node: optional('node', 'TEXT'),
  createdAt: integer('created_at'),
  bodyHash: blob('body_hash'),
  body: blob('body'),
})
