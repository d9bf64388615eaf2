import type { Request, RequestHandler, Response } from 'express'
import { limitKeyOf, Slice, startOfUtcDay, textOfUtcDay, utcDayOf } from '../base/index.ts'
import { GatewayFault } from '../faults.ts'
import { queryOf, roomOrClose } from '../http/index.ts'
import type { UsageRow, UsageStore } from '../ledger/index.ts'

/** Days that are shown where no date is given. */
const DEFAULT_DAYS = 30
/** Longest span: as long as usage is kept. */
const MOST_DAYS = 400
/** Days that are read from the ledger at once, each some megabytes at most. */
const DAYS_AT_ONCE = 8
const PARAMETERS: readonly string[] = ['from', 'to', 'caller', 'model']
const MAX_PARAMETER = 2000
const DATE = /^\d{4}-\d{2}-\d{2}$/
const LEAST_YEAR = 1970

export interface UsagePageDeps {
  readonly store: UsageStore
  /** Adds to the store what this process has counted. */
  readonly collector: { flush(): Promise<void> }
  /** The same of all workers, where there are several. Never rejects. */
  readonly flushWorkers?: (() => Promise<unknown>) | undefined
  /** Epoch ms. */
  readonly wallClock?: () => number
}

/** What a client asks for; days in UTC days since 1970-01-01. */
interface Question {
  readonly from: number
  readonly to: number
  readonly caller: string | undefined
  readonly model: string | undefined
}

/** `GET /admin/usage?from=YYYY-MM-DD&to=YYYY-MM-DD[&caller=…][&model=…]`: requests and tokens by day, caller and model. */
export function showUsage({ store, collector, flushWorkers, wallClock = Date.now }: UsagePageDeps): RequestHandler {
  return async (req, res) => {
    const question = questionIn(req, utcDayOf(wallClock()))
    await flushWorkers?.()
    await collector.flush()
    res.setHeader('Cache-Control', 'no-store')
    res.setHeader('Content-Type', 'application/json; charset=utf-8')
    await send(res, question, store)
  }
}

/** Day by day, no further ahead than the client reads: a year of thousands of callers is never in memory as a whole. */
async function send(res: Response, question: Question, store: UsageStore): Promise<void> {
  const { from, to } = question
  const slice = new Slice()
  let text = `{"from":"${textOfUtcDay(from)}","to":"${textOfUtcDay(to)}","usage":[`
  let separator = ''
  for (let first = from; first <= to; first += DAYS_AT_ONCE) {
    const days = Array.from({ length: Math.min(DAYS_AT_ONCE, to - first + 1) }, (_, n) => first + n)
    for (const rows of await Promise.all(days.map((day) => store.read(day)))) {
      for (const row of rows.filter((row) => fits(row, question)).sort(byName)) {
        text += separator + jsonOf(row)
        separator = ','
      }
      if (slice.isOver) await slice.next()
    }
    if (res.destroyed) return
    // Not before the first days were read: until then a ledger that cannot be read is an answer of its own.
    if (!res.write(text)) await roomOrClose(res)
    text = ''
  }
  res.end(']}')
}

function fits({ caller, model }: UsageRow, question: Question): boolean {
  return (
    (question.caller === undefined || caller === question.caller) &&
    (question.model === undefined || model === question.model)
  )
}

function byName(a: UsageRow, b: UsageRow): number {
  return compare(a.caller, b.caller) || compare(a.model, b.model)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function jsonOf({ day, caller, model, requests, promptTokens, completionTokens, cachedTokens }: UsageRow): string {
  return JSON.stringify({
    day: textOfUtcDay(day),
    caller,
    model,
    requests,
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    cached_tokens: cachedTokens,
  })
}

/** @throws GatewayFault ERR_BAD_REQUEST, which names what is wrong and what is allowed */
function questionIn(req: Request, today: number): Question {
  const query = queryOf(req)
  for (const name of query.keys()) {
    if (!PARAMETERS.includes(name))
      throw bad(`${name.slice(0, 100)} is no parameter of this page: allowed are ${PARAMETERS.join(', ')}`)
  }
  const to = dayIn(query, 'to') ?? today
  const from = dayIn(query, 'from') ?? Math.max(0, to - DEFAULT_DAYS + 1)
  if (from > to) throw bad(`from must not be after to: ${textOfUtcDay(from)} is after ${textOfUtcDay(to)}`)
  const days = to - from + 1
  if (days > MOST_DAYS) throw bad(`from and to may span ${MOST_DAYS} days at most, not ${days}`)
  const caller = parameter(query, 'caller')
  return { from, to, caller: caller && limitKeyOf(caller), model: parameter(query, 'model') }
}

function dayIn(query: URLSearchParams, name: string): number | undefined {
  const text = onlyOne(query, name)
  if (text === undefined) return undefined
  const ms = DATE.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN
  const day = utcDayOf(ms)
  // A date that does not exist, such as 30 February, may be taken for another one.
  const isDate = day >= 0 && startOfUtcDay(day) === ms && textOfUtcDay(day) === text
  if (!isDate) throw bad(`${name} must be a date as YYYY-MM-DD, from ${LEAST_YEAR}-01-01 to 9999-12-31`)
  return day
}

/** Undefined also where it is empty. */
function parameter(query: URLSearchParams, name: string): string | undefined {
  return onlyOne(query, name) || undefined
}

function onlyOne(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) throw bad(`${name} may be given once`)
  if (values[0] && values[0].length > MAX_PARAMETER) throw bad(`${name} has at most ${MAX_PARAMETER} characters`)
  return values[0]
}

function bad(message: string): GatewayFault {
  return new GatewayFault('ERR_BAD_REQUEST', message)
}
