import { defineScript } from '../script.ts'
import { KEPT_COUNTS } from './keptCounts.ts'

/**
 * ARGV: the date by the caller's clock; how long finished jobs are kept, and answers, ms; most bytes; most removals. Returns how many
 * were removed, jobs and bytes of all. The limit key that keeps most gives way first.
 *
 * Old is what is old by the caller's clock and by Redis's own: one gateway whose clock is ahead must not remove what is young to all
 * others.
 */
export const PRUNE = defineScript(
  `${KEPT_COUNTS}
local most, removed = tonumber(ARGV[5]), 0
local time = redis.call('TIME')
local now = math.min(tonumber(ARGV[1]), time[1] * 1000 + math.floor(time[2] / 1000))
local bytes = settleKept()
local function settle(key)
  bytes = settleKept()
  removed = removed + 1
  if redis.call('EXISTS', P .. 'e:' .. key, P .. 'd:' .. key) == 0 then redis.call('ZREM', P .. 'give', key) end
end
local function removeJob(id)
  local j = P .. 'j:' .. id
  local job = redis.call('HMGET', j, 'c', 'k', 'b', 'rl', 'il')
  redis.call('ZREM', P .. 'fin', id)
  if not job[1] then return end
  local key = job[2]
  keep(key, -job[3] - (job[4] or 0) - math.max(0, job[5] or 0)
    - redis.call('HSTRLEN', j, 'res') - redis.call('HSTRLEN', j, 'int'))
  redis.call('UNLINK', j, P .. 'r:' .. id, P .. 'i:' .. id)
  redis.call('ZREM', P .. 'c:' .. job[1], id)
  redis.call('ZREM', P .. 'e:' .. key, id)
  redis.call('HINCRBY', P .. 'tot', 'jobs', -1)
  settle(key)
end
local function removeAnswer(name, key)
  local a = P .. 'a:' .. name
  keep(key, -(redis.call('HGET', a, 'bytes') or 0))
  redis.call('UNLINK', a)
  redis.call('ZREM', P .. 'az', name)
  redis.call('ZREM', P .. 'd:' .. key, name)
  settle(key)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'fin', '-inf', now - ARGV[2], 'LIMIT', 0, most)) do removeJob(id) end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'az', '-inf', now - ARGV[3], 'LIMIT', 0, most - removed)) do
  removeAnswer(name, redis.call('HGET', P .. 'a:' .. name, 'lk') or '')
end
while bytes > tonumber(ARGV[4]) and removed < most do
  local key = redis.call('ZRANGE', P .. 'give', 0, 0, 'REV')[1]
  if not key then break end
  local id = redis.call('ZRANGE', P .. 'e:' .. key, 0, 0)[1]
  local name = not id and redis.call('ZRANGE', P .. 'd:' .. key, 0, 0)[1]
  -- Before its hash is looked at: one without it must not be met for ever.
  if id then
    redis.call('ZREM', P .. 'e:' .. key, id)
    removeJob(id)
  elseif name then
    removeAnswer(name, key)
  else
    redis.call('ZREM', P .. 'give', key)
  end
end
return {removed, tonumber(redis.call('HGET', P .. 'tot', 'jobs') or 0), bytes}
`,
  { runsWhenFull: true },
)
