import { ROOM_COUNTS } from '../coordination/roomCounts.ts'
import { defineScript } from '../script.ts'
import { KEPT_COUNTS } from './keptCounts.ts'

/** For how long a replica that is gone is told so, ms. */
const GONE_KEPT_MS = 24 * 60 * 60 * 1000

/**
 * ARGV: replica, 1 if it is leaving. Returns its number, jobs and bytes of all, and of each replica that lives, is leaving or is gone
 * with jobs: its name, its number (false where it is gone), its jobs, whether it is leaving, and for how long it has been gone, ms.
 */
export const BEAT = defineScript(
  `
local rid = ARGV[1]
if redis.call('ZSCORE', P .. 'gone', rid) then return redis.error_reply('FENCED ' .. rid) end
local version = redis.call('HINCRBY', P .. 'beats', rid, 1)
if ARGV[2] == '1' then redis.call('SADD', P .. 'leaving', rid) end
local replicas = {}
local beats = redis.call('HGETALL', P .. 'beats')
for i = 1, #beats, 2 do
  local isLeaving = redis.call('SISMEMBER', P .. 'leaving', beats[i])
  replicas[#replicas + 1] = {beats[i], beats[i + 1], redis.call('SCARD', P .. 'u:' .. beats[i]), isLeaving, 0}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, other in ipairs(redis.call('SMEMBERS', P .. 'orphaned')) do
  local jobs = redis.call('SCARD', P .. 'u:' .. other)
  if jobs > 0 then
    -- One that was forgotten has been gone for longer than that is kept.
    local since = tonumber(redis.call('ZSCORE', P .. 'gone', other) or now - ${GONE_KEPT_MS})
    replicas[#replicas + 1] = {other, false, jobs, 0, math.max(0, now - since)}
  else
    redis.call('SREM', P .. 'orphaned', other)
  end
end
local totals = redis.call('HMGET', P .. 'tot', 'jobs', 'bytes')
return {version, tonumber(totals[1] or 0), tonumber(totals[2] or 0), replicas}
`,
  { runsWhenFull: true },
)

/**
 * ARGV: replica, the number that it was seen with, or nothing where it is known to be over. Returns 1 if it is gone by this. All that it
 * held for what was under way is free then.
 */
export const BURY = defineScript(
  `${ROOM_COUNTS}${KEPT_COUNTS}
local rid = ARGV[1]
local number = redis.call('HGET', P .. 'beats', rid)
if ARGV[2] ~= '' and number ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HDEL', P .. 'beats', rid)
redis.call('SREM', P .. 'leaving', rid)
redis.call('ZREMRANGEBYSCORE', P .. 'gone', '-inf', now - ${GONE_KEPT_MS})
redis.call('ZADD', P .. 'gone', now, rid)
if redis.call('SCARD', P .. 'u:' .. rid) > 0 then redis.call('SADD', P .. 'orphaned', rid) end
redis.call('DEL', P .. 'x:' .. rid, P .. 'y:' .. rid)
local received = redis.call('HGETALL', P .. 't:' .. rid)
for i = 1, #received, 2 do
  local bytes, key = string.match(received[i + 1], '^(%d+) (.*)$')
  redis.call('UNLINK', P .. 't:' .. received[i] .. ':r', P .. 't:' .. received[i] .. ':i')
  keep(key, -bytes)
end
redis.call('DEL', P .. 't:' .. rid)
settleKept()
return 1
`,
  { runsWhenFull: true },
)

/** ARGV: replica, whose jobs, ids. Returns those that are the replica's from now on. */
export const CLAIM = defineScript(`${ROOM_COUNTS}
local rid, from = ARGV[1], ARGV[2]
if not isAlive(rid) then return whyNot(rid) end
local won = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local job = redis.call('HMGET', P .. 'j:' .. id, 's', 'o')
  if job[1] == 'running' and job[2] == from then
    redis.call('HSET', P .. 'j:' .. id, 'o', rid)
    redis.call('SMOVE', P .. 'u:' .. from, P .. 'u:' .. rid, id)
    won[#won + 1] = id
  else
    redis.call('SREM', P .. 'u:' .. from, id)
  end
end
return won
`)
