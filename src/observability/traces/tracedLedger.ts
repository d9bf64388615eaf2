import type { Ledger, NewJob, ReceivedResult } from '../../ledger/ledger.ts'

/** One write of the ledger: what it is called, the job that it is about, and the write itself. */
interface LedgerWrite<Value> {
  readonly operation: string
  /** Undefined where it is about several. */
  readonly job: string | undefined
  readonly run: () => Promise<Value>
}

export type TraceWrite = <Value>(write: LedgerWrite<Value>, inserted?: readonly NewJob[]) => Promise<Value>

/** Writes whose first argument is the id of a job. */
const WRITES_OF_JOB: ReadonlySet<string> = new Set(['startRun', 'markLeft', 'finish', 'note'])

type Method = (...args: unknown[]) => unknown

/** The same ledger, all of whose writes go by way of `trace`. */
export function tracedLedger<Traced extends Ledger>(ledger: Traced, trace: TraceWrite): Traced {
  const methods = new Map<PropertyKey, Method>()
  // It is one and the same ledger.
  const shared = ledger.shared && (ledger.shared as Ledger) !== ledger ? tracedLedger(ledger.shared, trace) : undefined
  const proxy: Traced = new Proxy(ledger, {
    get(target, name) {
      if (name === 'shared') return shared ?? (target.shared && proxy)
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      let method = methods.get(name)
      if (!method) {
        method = traced(String(name), (value as Method).bind(target), trace)
        methods.set(name, method)
      }
      return method
    },
  })
  return proxy
}

function traced(name: string, method: Method, trace: TraceWrite): Method {
  if (name === 'insert') {
    return (jobs, ...more) => {
      const inserted = jobs as readonly NewJob[]
      const job = inserted.length === 1 ? inserted[0]?.record.id : undefined
      return trace({ operation: name, job, run: async () => method(jobs, ...more) }, inserted)
    }
  }
  if (WRITES_OF_JOB.has(name)) {
    return (id, ...more) => trace({ operation: name, job: String(id), run: async () => method(id, ...more) })
  }
  if (name === 'receive') return async (...args) => tracedResult((await method(...args)) as ReceivedResult, trace)
  return method
}

/** A long result is written when it is complete. */
function tracedResult(result: ReceivedResult, trace: TraceWrite): ReceivedResult {
  return {
    add: (part, bytes) => result.add(part, bytes),
    drop: () => result.drop(),
    finish: (id, end, isWanted) => trace({ operation: 'finish', job: id, run: () => result.finish(id, end, isWanted) }),
  }
}
