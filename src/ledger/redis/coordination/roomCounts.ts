/**
 * Lua for all scripts that change what unfinished jobs and submissions under way take. Kept are, by limit key,
 *
 * - `open` (jobs) and `obytes` (their bytes) of what is recorded, and the bytes of all in `obytes` of the hash `tot`;
 * - `x:<replica>` (jobs) and `y:<replica>` (bytes) of a replica's submissions under way, with the bytes of all in the field of no
 *   name. They die with the replica: who buries it deletes both.
 *
 * No count falls below 0: after history was lost some changes may be missing.
 */
export const ROOM_COUNTS = `
local function add(hash, field, change)
  local before = tonumber(redis.call('HGET', hash, field) or 0)
  local after = math.max(0, before + change)
  if after > 0 then redis.call('HSET', hash, field, after) elseif before > 0 then redis.call('HDEL', hash, field) end
end
-- Recorded jobs of a limit key begin, or end with numbers below 0.
local function addOpen(key, jobs, bytes)
  add(P .. 'open', key, jobs)
  add(P .. 'obytes', key, bytes)
  add(P .. 'tot', 'obytes', bytes)
end
-- Submissions under way of a replica begin, or end with numbers below 0: as recorded jobs or as nothing.
local function addHeld(replica, key, jobs, bytes)
  add(P .. 'x:' .. replica, key, jobs)
  add(P .. 'y:' .. replica, key, bytes)
  add(P .. 'y:' .. replica, '', bytes)
end
local function isAlive(replica)
  return redis.call('HEXISTS', P .. 'beats', replica) == 1
end
-- Why a replica that is not alive must not write.
local function whyNot(replica)
  return redis.error_reply((redis.call('ZSCORE', P .. 'gone', replica) and 'FENCED' or 'LOST') .. ' ' .. replica)
end
`
