import { ADVANCE_SHARE, FILL_MS, MOST_DEBT_MS, ROUNDING } from '../../../base/refill.ts'
import type { BudgetGrant, BudgetQuestion, SharedBudget, SharedBudgets } from '../../../replicas/index.ts'
import type { RedisCalls } from '../connection.ts'
import { defineScript } from '../script.ts'

/**
 * A budget is a number under `rl:<limit>:<caller>`: when it is full again, by the clock of Redis, ms. One that is not there is full.
 * Should that clock be set back, a budget is empty for a minute at most; one that may owe, for as long as its largest debt.
 */
const BUDGET = `
local FILL = ${FILL_MS}
local name, requestMs, most = P .. 'rl:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local full = tonumber(redis.call('GET', name) or 0)
local used = math.min(math.max(0, full - now), most)
local function keep(usedMs)
  redis.call('SET', name, string.format('%.17g', now + usedMs), 'PX', math.ceil(usedMs))
end
`

/** ARGV: limit and caller, refill time of one request, the most that may be used, wanted, more. Returns what is granted, and how far the budget is used. */
const TAKE = defineScript(`${BUDGET}
local wanted, more = tonumber(ARGV[4]), tonumber(ARGV[5])
local left = math.floor((FILL - used) / requestMs + ${ROUNDING}) - wanted
local granted = 0
if left >= 0 then granted = wanted + math.min(more, math.floor(left * ${ADVANCE_SHARE})) end
if granted > 0 then
  used = used + granted * requestMs
  keep(used)
end
return {granted, string.format('%.17g', used)}
`)

/** ARGV: limit and caller, refill time of one request, the most that may be used, count. */
const GIVE_BACK = defineScript(
  `${BUDGET}
if used == 0 then return 0 end
used = used - ARGV[4] * requestMs
if used > 0 then keep(used) else redis.call('DEL', name) end
return 1
`,
  { runsWhenFull: true },
)

/** ARGV: limit and caller, refill time of one request, the most that may be used, count. */
const CHARGE = defineScript(`${BUDGET}
keep(math.min(used + ARGV[4] * requestMs, most))
return 1
`)

/** The smooth limits of requests and tokens a minute, in Redis. */
export class RedisBudgets implements SharedBudgets {
  readonly #redis: RedisCalls

  constructor(redis: RedisCalls) {
    this.#redis = redis
  }

  async take(question: BudgetQuestion): Promise<BudgetGrant> {
    const { wanted, more } = question
    const reply = await this.#redis.run(TAKE, [...budgetOf(question), String(wanted), String(more)])
    const [granted, usedMs] = reply as [number, Buffer]
    return { granted, usedMs: Number(usedMs) }
  }

  async giveBack(budget: SharedBudget, count: number): Promise<void> {
    // What does not arrive is refilled within a minute.
    await this.#redis.run(GIVE_BACK, [...budgetOf(budget), String(count)]).catch(() => undefined)
  }

  async charge(budget: SharedBudget, count: number): Promise<void> {
    // A limit is protection, not accounting: what does not arrive is not owed.
    await this.#redis.run(CHARGE, [...budgetOf(budget), String(count)]).catch(() => undefined)
  }
}

function budgetOf({ limit, key, perMinute, mayOwe }: SharedBudget): string[] {
  const requestMs = FILL_MS / perMinute
  const mostMs = mayOwe ? FILL_MS + MOST_DEBT_MS : FILL_MS + ROUNDING * requestMs
  return [`${limit}:${key}`, String(requestMs), String(mostMs)]
}
