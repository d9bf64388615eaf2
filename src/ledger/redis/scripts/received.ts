import { ROOM_COUNTS } from '../coordination/roomCounts.ts'
import { defineScript } from '../script.ts'
import { KEPT_COUNTS } from './keptCounts.ts'

/** For how long a result that arrives is kept without a word of the replica that receives it, ms. */
export const RECEIVED_KEPT_MS = 600_000

/**
 * Results that arrive are `t:<name>:r` and `t:<name>:i`; their names begin with the replica, in whose hash `t:<replica>` the bytes of
 * each stand with the limit key. The replica's burial removes them.
 *
 * ARGV: replica, name, limit key, bytes that are added next. Returns jobs and bytes of all.
 */
export const COUNT_PIECE = defineScript(
  `${ROOM_COUNTS}${KEPT_COUNTS}
local rid, name, key = ARGV[1], ARGV[2], ARGV[3]
if not isAlive(rid) then return whyNot(rid) end
local before = string.match(redis.call('HGET', P .. 't:' .. rid, name) or '0', '^%d+')
redis.call('HSET', P .. 't:' .. rid, name, string.format('%d %s', before + ARGV[4], key))
keep(key, tonumber(ARGV[4]))
return {tonumber(redis.call('HGET', P .. 'tot', 'jobs') or 0), settleKept()}
`,
  { runsWhenFull: true },
)

/** ARGV: replica, name. Returns jobs and bytes of all. */
export const DROP_RECEIVED = defineScript(
  `${KEPT_COUNTS}
local received, name = P .. 't:' .. ARGV[1], ARGV[2]
redis.call('UNLINK', P .. 't:' .. name .. ':r', P .. 't:' .. name .. ':i')
local bytes, key = string.match(redis.call('HGET', received, name) or '', '^(%d+) (.*)$')
if bytes then keep(key, -bytes) end
redis.call('HDEL', received, name)
return {tonumber(redis.call('HGET', P .. 'tot', 'jobs') or 0), settleKept()}
`,
  { runsWhenFull: true },
)
