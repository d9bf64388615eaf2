import type { BudgetQuestion, Room, RoomLimits, SharedBudget } from '../../replicas/index.ts'
import {
  PIECE_BYTES,
  type JobEnd,
  type JobFilter,
  type JobRun,
  type JobStatus,
  type ReceivedResult,
  type JobsQuery,
} from '../ledger.ts'
import { LongBytes } from '../longBytes.ts'
import { bufferOf, type Row } from '../sqlite/columns.ts'
import { usageOfValues, valuesOfUsage, type UsageValues } from '../usage/rows.ts'
import type { HubMember } from './member.ts'
import { answerOf, answerRow, healthRow, PARTS, recordOf, recordRow, type JobRow, type StatusRow } from './wire.ts'

/** What a call is made of: the worker's ledger, and the results that it receives at present. */
export interface Context {
  readonly member: HubMember
  readonly received: Map<number, Receiving>
  /** The worker is gone: nothing that is begun for it comes to anything. */
  isClosed: boolean
}

interface Receiving {
  readonly result: ReceivedResult
  /** Whether the worker still wants to end its job with it. */
  isWanted: boolean
}

/** The calls of a worker, as the primary does them. Their arguments and values are plain, as `wire.ts` says. */
export const OPERATIONS = {
  open: ({ member }: Context) => {
    const { self, replicas } = member.membership
    return [self, replicas, healthRow(member.health())] as const
  },
  close: ({ member }: Context) => member.close(),

  insert: ({ member }: Context, jobs: readonly JobRow[], answer: Row | null) => {
    const newJobs = jobs.map(([row, request, room]) => ({
      record: recordOf(row),
      request: request ? bufferOf(request) : undefined,
      room,
    }))
    return member.insert(newJobs, answer ? answerOf(answer) : undefined)
  },
  startRun: ({ member }: Context, id: string, run: JobRun, expected: number) => member.startRun(id, run, expected),
  markLeft: ({ member }: Context, id: string) => member.markLeft(id),
  finish: ({ member }: Context, id: string, ...[state, finishedAt, result, intermediate]: EndRow) =>
    member.finish(id, {
      state,
      finishedAt,
      result: bufferOf(result),
      intermediate: intermediate ? bufferOf(intermediate) : undefined,
    }),
  note: ({ member }: Context, id: string, intermediate: Uint8Array) => member.note(id, bufferOf(intermediate)),
  request: ({ member }: Context, id: string) => member.request(id),
  read: async (
    { member }: Context,
    caller: string,
    ids: readonly string[],
    withIntermediate: boolean,
    inlineBytes: number,
  ) => (await member.read(caller, ids, { withIntermediate, inlineBytes })).map(statusRow),
  piece: async ({ member }: Context, caller: string, id: string, part: number, index: number) => {
    const name = PARTS[part]!
    const withIntermediate = name === 'intermediate'
    const [status] = await member.read(caller, [id], { withIntermediate, inlineBytes: 0 })
    const bytes = status?.[name]
    if (bytes instanceof LongBytes) return bytes.piece(index)
    return bytes?.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES)
  },
  find: async ({ member }: Context, id: string) => {
    const record = await member.find(id)
    return record && recordRow(record)
  },
  browse: async ({ member }: Context, query: JobsQuery) => {
    const { jobs, next } = await member.browse(query)
    return [jobs.map(recordRow), next ?? null] as const
  },
  list: ({ member }: Context, caller: string, filter: JobFilter) => member.list(caller, filter),
  idempotencyRecord: async ({ member }: Context, caller: string, path: string, key: string) => {
    const answer = await member.idempotencyRecord(caller, path, key)
    return answer && answerRow(answer)
  },
  nextReqnum: ({ member }: Context, worker: string) => member.nextReqnum(worker),
  probe: ({ member }: Context) => member.probe(),

  keptValue: ({ member }: Context, name: string) => member.values.get(name),
  setKeptValue: ({ member }: Context, name: string, value: Uint8Array) => member.values.set(name, bufferOf(value)),
  deleteKeptValue: ({ member }: Context, name: string) => member.values.delete(name),
  replaceKeptValue: ({ member }: Context, name: string, expected: Uint8Array | null, value: Uint8Array) =>
    member.values.replace(name, expected ? bufferOf(expected) : undefined, bufferOf(value)),
  keptValueNames: ({ member }: Context) => member.values.names(),

  addUsage: ({ member }: Context, writer: string, number: number, rows: readonly UsageValues[]) =>
    member.usage.add({ writer, number, rows: rows.map(usageOfValues) }),
  usageOf: async ({ member }: Context, day: number) => (await member.usage.read(day)).map(valuesOfUsage),

  receive: async (context: Context, number: number, caller: string) => {
    const result = await context.member.receive(caller)
    if (context.isClosed) result.drop()
    else context.received.set(number, { result, isWanted: true })
  },
  addPiece: ({ received }: Context, number: number, part: number, bytes: Uint8Array) =>
    received.get(number)?.result.add(PARTS[part]!, bufferOf(bytes)),
  finishReceived: async (
    { received }: Context,
    number: number,
    id: string,
    state: JobEnd['state'],
    finishedAt: number,
  ) => {
    const receiving = received.get(number)
    if (!receiving) return false
    const isFirst = await receiving.result.finish(id, { state, finishedAt }, () => receiving.isWanted)
    received.delete(number)
    return isFirst
  },
  unwanted: ({ received }: Context, number: number) => {
    const receiving = received.get(number)
    if (receiving) receiving.isWanted = false
  },
  drop: ({ received }: Context, number: number) => {
    received.get(number)?.result.drop()
    received.delete(number)
  },

  ownedBy: ({ member }: Context, replica: string) => member.ownedBy(replica),
  ownerOf: ({ member }: Context, id: string) => member.ownerOf(id),
  claim: async ({ member }: Context, from: string, ids: readonly string[]) => [...(await member.claim(from, ids))],
  leave: ({ member }: Context) => member.membership.leave(),
  resign: async ({ member: { membership } }: Context) => {
    await membership.resign()
    return membership.self
  },

  takeRoom: ({ member }: Context, key: string, wanted: Room, limits: RoomLimits) =>
    member.coordination.room.take(key, wanted, limits),
  giveBackRoom: ({ member }: Context, key: string, room: Room) => member.coordination.room.giveBack(key, room),
  reserveKey: async ({ member }: Context, caller: string, path: string, key: string, bodyHash: Uint8Array) => {
    const turn = await member.coordination.keys.reserve({ caller, path, key, bodyHash: bufferOf(bodyHash) })
    return [turn.kind, turn.kind === 'busy' ? turn.bodyHash : null] as const
  },
  releaseKey: ({ member }: Context, caller: string, path: string, key: string) =>
    member.coordination.keys.release({ caller, path, key }),
  takeBudget: ({ member }: Context, question: BudgetQuestion) => member.coordination.budgets.take(question),
  giveBackBudget: ({ member }: Context, budget: SharedBudget, count: number) =>
    member.coordination.budgets.giveBack(budget, count),
  chargeBudget: ({ member }: Context, budget: SharedBudget, count: number) =>
    member.coordination.budgets.charge(budget, count),
  getValue: ({ member }: Context, name: string, key: string) => member.coordination.values.get(name, key),
  setValue: ({ member }: Context, name: string, key: string, value: Uint8Array | string, ttlMs: number) =>
    member.coordination.values.set(name, key, typeof value === 'string' ? value : bufferOf(value), ttlMs),
  deleteValue: ({ member }: Context, name: string, key: string) => member.coordination.values.delete(name, key),
  setValueOnce: ({ member }: Context, name: string, key: string, value: string) =>
    member.coordination.values.setOnce(name, key, value),
}

type EndRow = [state: JobEnd['state'], finishedAt: number, result: Uint8Array, intermediate: Uint8Array | null]

type Operations = typeof OPERATIONS
export type Name = keyof Operations
type WithoutContext<Args extends unknown[]> = Args extends [Context, ...infer Rest] ? Rest : never
/** What a worker calls an operation with, and what becomes of its value on the way. */
export type Args<Of extends Name> = WithoutContext<Parameters<Operations[Of]>>
export type Value<Of extends Name> = AsSent<Awaited<ReturnType<Operations[Of]>>>
type AsSent<Of> = Of extends undefined | void ? null : Of

function statusRow({ id, state, node, result, intermediate }: JobStatus): StatusRow {
  return [id, state, node, partRow(result), partRow(intermediate)]
}

function partRow(part: JobStatus['result']): StatusRow[3] {
  if (part === undefined) return null
  return part instanceof LongBytes ? part.length : part
}
