import { startOfUtcDay } from '../../base/utcDay.ts'
import {
  MODELS_OF_CALLER,
  MOST_USAGE_ROWS,
  NAMED_USAGE_ROWS,
  OTHER_USAGE,
  USAGE_DAYS,
  type UsageBatch,
  type UsageRow,
  type UsageStore,
} from '../usage/usage.ts'
import type { RedisCalls } from './connection.ts'
import { faultOf } from './coordination/faults.ts'
import { defineScript } from './script.ts'

/** How long a writer's last number is remembered: longer than it tries to add a batch that may have been added. */
const WRITER_SECONDS = 2 * 86_400
/** Between caller and model in a field; callers have none. */
const SEPARATOR = '\n'

/**
 * A day's usage is a hash under `use:<day>`. Its field `<caller>\n<model>` has requests and tokens as numbers in decimal; `<caller>` is
 * the number of rows of a caller, and the field without a name that of the day. `usew:<writer>` is the number of its last batch.
 *
 * ARGV: writer and number of the batch; then for each row day, expiry of the day (s), caller, model, requests and three kinds of tokens.
 */
const ADD = defineScript(`
local writer, number = P .. 'usew:' .. ARGV[1], tonumber(ARGV[2])
if tonumber(redis.call('GET', writer) or 0) >= number then return 0 end
redis.call('SET', writer, ARGV[2], 'EX', ${WRITER_SECONDS})
local function rowsIn(key, field) return tonumber(redis.call('HGET', key, field) or 0) end
local function placeOf(key, caller, model)
  local field = caller .. '\\n' .. model
  if redis.call('HEXISTS', key, field) == 1 then return caller, model end
  local ofDay = rowsIn(key, '')
  if ofDay < ${NAMED_USAGE_ROWS} and rowsIn(key, caller) < ${MODELS_OF_CALLER} then return caller, model end
  local hasOther = redis.call('HEXISTS', key, caller .. '\\n${OTHER_USAGE}') == 1
  if hasOther or ofDay < ${MOST_USAGE_ROWS - 1} then return caller, '${OTHER_USAGE}' end
  return '${OTHER_USAGE}', '${OTHER_USAGE}'
end
for i = 3, #ARGV, 8 do
  local key = P .. 'use:' .. ARGV[i]
  local caller, model = placeOf(key, ARGV[i + 2], ARGV[i + 3])
  local field = caller .. '\\n' .. model
  local counts = {0, 0, 0, 0}
  local kept = redis.call('HGET', key, field)
  if kept then
    local n = 0
    for count in kept:gmatch('%d+') do
      n = n + 1
      counts[n] = tonumber(count)
    end
  else
    redis.call('HINCRBY', key, '', 1)
    redis.call('HINCRBY', key, caller, 1)
  end
  for n = 1, 4 do counts[n] = string.format('%.0f', counts[n] + tonumber(ARGV[i + 3 + n])) end
  redis.call('HSET', key, field, table.concat(counts, ' '))
  redis.call('EXPIREAT', key, ARGV[i + 1])
end
return 1
`)

/** Usage in Redis, of all gateways that share it. */
export class RedisUsage implements UsageStore {
  readonly #redis: RedisCalls

  constructor(redis: RedisCalls) {
    this.#redis = redis
  }

  async add({ writer, number, rows }: UsageBatch): Promise<void> {
    const args = [writer, String(number), ...rows.flatMap(argumentsOf)]
    await this.#redis.run(ADD, args).catch(throwFault)
  }

  async read(day: number): Promise<UsageRow[]> {
    const reply = await this.#redis.call(['HGETALL', `${this.#redis.prefix}use:${day}`]).catch(throwFault)
    const flat = (reply as Buffer[]).map(String)
    const rows: UsageRow[] = []
    for (let at = 0; at < flat.length; at += 2) {
      const field = flat[at]!
      const end = field.indexOf(SEPARATOR)
      if (end < 0) continue
      const counts = flat[at + 1]!.split(' ').map(Number)
      const [requests = 0, promptTokens = 0, completionTokens = 0, cachedTokens = 0] = counts
      const caller = field.slice(0, end)
      rows.push({ day, caller, model: field.slice(end + 1), requests, promptTokens, completionTokens, cachedTokens })
    }
    return rows
  }
}

function argumentsOf({ day, caller, model, ...counts }: UsageRow): string[] {
  const { requests, promptTokens, completionTokens, cachedTokens } = counts
  const expiry = Math.floor(startOfUtcDay(day + USAGE_DAYS + 1) / 1000)
  return [day, expiry, caller, model, requests, promptTokens, completionTokens, cachedTokens].map(String)
}

function throwFault(error: unknown): never {
  throw faultOf(error)
}
