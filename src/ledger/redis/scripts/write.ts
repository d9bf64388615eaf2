import { ROOM_COUNTS } from '../coordination/roomCounts.ts'
import { defineScript } from '../script.ts'
import { KEPT_COUNTS } from './keptCounts.ts'

/** Arguments of each job of an insert, and of an answer. */
const JOB_ARGS = 11
const ANSWER_ARGS = 13

/** What an operation answers: whether it was done, and if not, why. */
export const DONE = 1
/** No such job, or it is over, or in another run. */
const NOT_DONE = 0
/** The job is in the name of another replica. */
export const NOT_OURS = -1
/** What was received for the job is not there any more. */
export const NOT_RECEIVED = -2

/**
 * Where inserts meet jobs that are there already: `first` refuses them; `again` takes them for those of an earlier attempt whose answer
 * was lost; `replay` likewise, where Redis has lost what was written, which takes no room of submissions under way.
 */
export type InsertMode = 'first' | 'again' | 'replay'

const INSERT = `
-- mode, count, jobs (id, caller, limit key, meta, node, runs, run, bytes, room, client left, request), 0 or 1 and an answer
local function insert()
  local mode, count, first = ARGV[at + 1], tonumber(ARGV[at + 2]), at + 3
  local last = first + (count - 1) * ${JOB_ARGS}
  local answer = last + ${JOB_ARGS} + 1
  at = answer
  if ARGV[answer - 1] == '1' then at = answer + ${ANSWER_ARGS} else answer = nil end
  local isKnown = {}
  for i = first, last, ${JOB_ARGS} do
    local j = P .. 'j:' .. ARGV[i]
    if redis.call('EXISTS', j) == 1 then
      local known = redis.call('HMGET', j, 'c', 'm')
      if mode == 'first' or known[1] ~= ARGV[i + 1] or known[2] ~= ARGV[i + 3] then return ${NOT_DONE} end
      isKnown[i] = true
    end
  end
  local seq = redis.call('HINCRBY', P .. 'tot', 'seq', count) - count
  for i = first, last, ${JOB_ARGS} do
    seq = seq + 1
    if isKnown[i] then takeUp(ARGV[i]) else record(i, seq, mode) end
  end
  if answer then keepAnswer(answer) end
  return ${DONE}
end
`

const RECORD = `
local function record(i, seq, mode)
  local id, caller, key, req = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 10]
  local j, bytes, room = P .. 'j:' .. id, tonumber(ARGV[i + 7]), tonumber(ARGV[i + 8])
  redis.call('HSET', j, 'c', caller, 'k', key, 'm', ARGV[i + 3], 's', 'running', 'o', rid, 'n', ARGV[i + 4],
    'r', ARGV[i + 5], 'v', ARGV[i + 6], 'b', bytes, 'w', room, 'q', seq)
  if ARGV[i + 9] == '1' then redis.call('HSET', j, 'g', '1') else openJobs[key] = (openJobs[key] or 0) + 1 end
  if #req > 0 then redis.call('HSET', j, 'req', req) end
  redis.call('ZADD', P .. 'c:' .. caller, seq, id)
  redis.call('ZADD', P .. 'p:' .. caller, seq, id)
  redis.call('SADD', own, id)
  jobs = jobs + 1
  openBytes[key] = (openBytes[key] or 0) + room
  if mode ~= 'replay' then hold(key, -1, -room) end
  keep(key, bytes + #req)
end
-- A job that was recorded for us in an earlier life, which is over.
local function takeUp(id)
  local owner = redis.call('HGET', P .. 'j:' .. id, 'o')
  if owner == rid or isAlive(owner) then return end
  if redis.call('SMOVE', P .. 'u:' .. owner, own, id) == 1 then redis.call('HSET', P .. 'j:' .. id, 'o', rid) end
end
-- name, limit key, date before which answers have expired, bytes, date, hash of the body, status, type, body, node, caller, path, key
local function keepAnswer(i)
  local name, key, bytes, date = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3]), ARGV[i + 4]
  local a = P .. 'a:' .. name
  redis.call('DEL', P .. 'k:' .. name)
  local earlier = redis.call('HMGET', a, 't', 'bytes')
  if earlier[1] and tonumber(earlier[1]) > tonumber(ARGV[i + 2]) then return end
  redis.call('HSET', a, 't', date, 'bytes', bytes, 'lk', key, 'h', ARGV[i + 5], 'status', ARGV[i + 6], 'type', ARGV[i + 7],
    'body', ARGV[i + 8], 'node', ARGV[i + 9], 'caller', ARGV[i + 10], 'path', ARGV[i + 11], 'key', ARGV[i + 12])
  redis.call('ZADD', P .. 'az', date, name)
  redis.call('ZADD', P .. 'd:' .. key, date, name)
  keep(key, bytes - (earlier[2] or 0))
  isRemovable[key] = true
end
`

const CHANGES = `
-- The unfinished job if it is ours, else why not.
local function mine(id)
  local j = P .. 'j:' .. id
  local m = redis.call('HMGET', j, 's', 'o', 'c', 'k', 'w', 'g', 'r')
  if not m[1] then return nil, ${NOT_DONE} end
  if m[2] ~= rid then return nil, ${NOT_OURS} end
  if m[1] ~= 'running' then return nil, ${NOT_DONE} end
  return j, { caller = m[3], key = m[4], room = tonumber(m[5]), isLeft = m[6], runs = m[7] }
end
local function close(job)
  if not job.isLeft then openJobs[job.key] = (openJobs[job.key] or 0) - 1 end
  openBytes[job.key] = (openBytes[job.key] or 0) - job.room
end
-- Drops a field and returns its bytes.
local function drop(j, field)
  local bytes = redis.call('HSTRLEN', j, field)
  if bytes > 0 then redis.call('HDEL', j, field) end
  return bytes
end
-- A received result becomes that of a job: name, bytes of the result, and of the intermediate ones or -1.
local function attach(id, j, job, name, length, lengthOfInt)
  if redis.call('STRLEN', P .. 't:' .. name .. ':r') ~= length then return false end
  if redis.call('STRLEN', P .. 't:' .. name .. ':i') ~= math.max(0, lengthOfInt) then return false end
  for part, bytes in pairs({ r = length, i = lengthOfInt }) do
    local from, to = P .. 't:' .. name .. ':' .. part, P .. part .. ':' .. id
    if bytes > 0 then
      redis.call('RENAME', from, to)
      redis.call('PERSIST', to)
    end
  end
  redis.call('HSET', j, 'rl', length)
  if lengthOfInt >= 0 then redis.call('HSET', j, 'il', lengthOfInt) end
  local received = P .. 't:' .. ownerOf(name)
  local bytes, key = string.match(redis.call('HGET', received, name) or '0 ' .. job.key, '^(%d+) (.*)$')
  redis.call('HDEL', received, name)
  keep(key, -bytes)
  keep(job.key, length + math.max(0, lengthOfInt))
  return true
end
-- Whether our own end of a job is there already: an earlier attempt, whose answer was lost, wrote it.
local function hasEnded(id, i)
  local j = P .. 'j:' .. id
  local known = redis.call('HMGET', j, 's', 'f', 'rl')
  if known[1] ~= ARGV[i + 2] or known[2] ~= ARGV[i + 3] then return ${NOT_DONE} end
  if ARGV[i + 4] == 'value' then return redis.call('HGET', j, 'res') == ARGV[i + 5] and ${DONE} or ${NOT_DONE} end
  return known[3] == ARGV[i + 6] and ${DONE} or ${NOT_DONE}
end
local ops = {}
-- id, state, date, value, result, 0 or 1, intermediate results; or id, state, date, received, name, two lengths
ops.F = { 8, function(i)
  local id, date = ARGV[i + 1], ARGV[i + 3]
  local j, job = mine(id)
  if not j then return job == ${NOT_DONE} and hasEnded(id, i) or job end
  if ARGV[i + 4] == 'received' then
    if not attach(id, j, job, ARGV[i + 5], tonumber(ARGV[i + 6]), tonumber(ARGV[i + 7])) then return ${NOT_RECEIVED} end
    keep(job.key, -drop(j, 'req') - drop(j, 'int'))
    redis.call('HSET', j, 's', ARGV[i + 2], 'f', date)
  else
    local result, int = ARGV[i + 5], ARGV[i + 7]
    keep(job.key, #result + #int - drop(j, 'req') - drop(j, 'int'))
    redis.call('HSET', j, 's', ARGV[i + 2], 'f', date, 'res', result)
    if ARGV[i + 6] == '1' then redis.call('HSET', j, 'int', int) end
  end
  redis.call('ZREM', P .. 'p:' .. job.caller, id)
  redis.call('SREM', own, id)
  redis.call('ZADD', P .. 'fin', date, id)
  redis.call('ZADD', P .. 'e:' .. job.key, date, id)
  isRemovable[job.key] = true
  close(job)
  return ${DONE}
end }
-- id, expected number of the run, node, number of the run, run
ops.R = { 6, function(i)
  local j, job = mine(ARGV[i + 1])
  if not j then return job end
  -- An earlier attempt, whose answer was lost, wrote it.
  if redis.call('HGET', j, 'v') == ARGV[i + 5] and job.runs == ARGV[i + 4] then return ${DONE} end
  if job.runs ~= ARGV[i + 2] then return ${NOT_DONE} end
  redis.call('HSET', j, 'n', ARGV[i + 3], 'r', ARGV[i + 4], 'v', ARGV[i + 5])
  keep(job.key, -drop(j, 'int'))
  return ${DONE}
end }
-- id
ops.L = { 2, function(i)
  local j, job = mine(ARGV[i + 1])
  if not j then return job end
  if not job.isLeft then
    redis.call('HSET', j, 'g', '1')
    openJobs[job.key] = (openJobs[job.key] or 0) - 1
  end
  return ${DONE}
end }
-- id, intermediate results
ops.N = { 3, function(i)
  local j, job = mine(ARGV[i + 1])
  if not j then return job end
  keep(job.key, #ARGV[i + 2] - redis.call('HSTRLEN', j, 'int'))
  redis.call('HSET', j, 'int', ARGV[i + 2])
  return ${DONE}
end }
-- id: the rest of its insert was refused; its room is that of a submission under way again
ops.U = { 2, function(i)
  local id = ARGV[i + 1]
  local j, job = mine(id)
  if not j then return job end
  keep(job.key, -redis.call('HGET', j, 'b') - redis.call('HSTRLEN', j, 'req') - redis.call('HSTRLEN', j, 'int'))
  redis.call('UNLINK', j)
  redis.call('ZREM', P .. 'c:' .. job.caller, id)
  redis.call('ZREM', P .. 'p:' .. job.caller, id)
  redis.call('SREM', own, id)
  jobs = jobs - 1
  hold(job.key, 1, job.room)
  close(job)
  return ${DONE}
end }
-- name, date, body: an answer whose jobs are given up
ops.D = { 4, function(i)
  local name = ARGV[i + 1]
  local a = P .. 'a:' .. name
  local answer = redis.call('HMGET', a, 't', 'body', 'lk', 'bytes')
  if answer[1] ~= ARGV[i + 2] or answer[2] ~= ARGV[i + 3] then return ${NOT_DONE} end
  redis.call('UNLINK', a)
  redis.call('ZREM', P .. 'az', name)
  redis.call('ZREM', P .. 'd:' .. answer[3], name)
  keep(answer[3], -answer[4])
  return ${DONE}
end }
`

const OPERATIONS = `${ROOM_COUNTS}${KEPT_COUNTS}
local rid = ARGV[1]
if not isAlive(rid) then return whyNot(rid) end
local version = redis.call('HINCRBY', P .. 'beats', rid, 1)
local own, at, jobs = P .. 'u:' .. rid, 2, 0
local openJobs, openBytes, heldJobs, heldBytes = {}, {}, {}, {}
local function hold(key, count, bytes)
  heldJobs[key] = (heldJobs[key] or 0) + count
  heldBytes[key] = (heldBytes[key] or 0) + bytes
end
-- Received results are named after the replica that receives them.
local function ownerOf(name) return string.match(name, '^([^:]+)') end
${RECORD}${INSERT}${CHANGES}
local results = {}
while at <= #ARGV do
  if ARGV[at] == 'I' then
    results[#results + 1] = insert()
  else
    local op = ops[ARGV[at]]
    results[#results + 1] = op[2](at)
    at = at + op[1]
  end
end
for key, bytes in pairs(openBytes) do addOpen(key, openJobs[key] or 0, bytes) openJobs[key] = nil end
for key, count in pairs(openJobs) do addOpen(key, count, 0) end
for key, count in pairs(heldJobs) do addHeld(rid, key, count, heldBytes[key]) end
local bytes = settleKept()
if jobs ~= 0 then jobs = redis.call('HINCRBY', P .. 'tot', 'jobs', jobs)
else jobs = tonumber(redis.call('HGET', P .. 'tot', 'jobs') or 0) end
return {results, jobs, bytes, version}
`

/**
 * ARGV: replica, operations one after the other. Returns what became of each, jobs and bytes of all, and the number that the replica's
 * writes and beats have come to.
 */
export const WRITE = defineScript(OPERATIONS)

/** The same for operations U and D alone: a full Redis runs it, since it makes room. */
export const UNDO = defineScript(OPERATIONS, { runsWhenFull: true })
