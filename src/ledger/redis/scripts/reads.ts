import { defineScript } from '../script.ts'

/** Results that are longer have keys of their own: in scripts they would hold everybody up. */
export const MAX_FIELD_BYTES = 256 * 1024

/**
 * ARGV: caller, date before which jobs have expired, most bytes of results, 1 if intermediate results are wanted, ids. Returns for each
 * job that is the caller's: its place among the ids, state, node, whether its results have keys of their own, then for the result and
 * the intermediate ones the bytes, or false where they are too long, and the length, or -1 where there are none.
 */
export const READ = defineScript(
  `
local caller, expired, left, withInt = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
-- While both parts fit however long they are they come along in one call.
local most = withInt and ${2 * MAX_FIELD_BYTES} or ${MAX_FIELD_BYTES}
local function partOf(j, job, place, field, lengthField)
  if job[5] then return false, tonumber(job[lengthField] or -1) end
  local bytes = job[place]
  if bytes == nil then
    local length = redis.call('HSTRLEN', j, field)
    if length > left then return false, length end
    bytes = redis.call('HGET', j, field)
  end
  if not bytes then return false, -1 end
  left = left - #bytes
  return bytes, #bytes
end
local found = {}
for i = 5, #ARGV do
  local j = P .. 'j:' .. ARGV[i]
  local job
  if left < most then
    job = redis.call('HMGET', j, 'c', 's', 'n', 'f', 'rl', 'il')
  elseif withInt then
    job = redis.call('HMGET', j, 'c', 's', 'n', 'f', 'rl', 'il', 'res', 'int')
  else
    job = redis.call('HMGET', j, 'c', 's', 'n', 'f', 'rl', 'il', 'res')
  end
  if job[1] == caller and not (job[4] and tonumber(job[4]) <= expired) then
    local result, length = partOf(j, job, 7, 'res', 5)
    local int, intLength = false, -1
    if withInt then int, intLength = partOf(j, job, 8, 'int', 6) end
    found[#found + 1] = {i - 5, job[2], job[3], job[5] and 1 or 0, result, length, int, intLength}
  end
end
return found
`,
  { isReadOnly: true },
)

/** ARGV: ids. Returns for each the fields of its record. */
export const recordsScript = (fields: readonly string[]) =>
  defineScript(
    `
local found = {}
for i = 1, #ARGV do
  found[i] = redis.call('HMGET', P .. 'j:' .. ARGV[i], ${fields.map((field) => `'${field}'`).join(', ')})
end
return found
`,
    { isReadOnly: true },
  )

/** ARGV: ids. Returns for each that is unfinished its place among them, the bytes of its request, and the fields of its record. */
export const unfinishedScript = (fields: readonly string[]) =>
  defineScript(
    `
local found = {}
for i = 1, #ARGV do
  local j = P .. 'j:' .. ARGV[i]
  if redis.call('HGET', j, 's') == 'running' then
    local fields = redis.call('HMGET', j, ${fields.map((field) => `'${field}'`).join(', ')})
    found[#found + 1] = {i - 1, redis.call('HSTRLEN', j, 'req'), fields}
  end
end
return found
`,
    { isReadOnly: true },
  )

/**
 * ARGV: caller, filter, number after which to go on, how many to look at, date before which jobs have expired. Returns the ids, and the
 * number of the last one that was looked at, or nothing where that was the end.
 */
export const LIST = defineScript(
  `
local filter, expired, most = ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[4])
local all = filter == 'pending' and P .. 'p:' .. ARGV[1] or P .. 'c:' .. ARGV[1]
local ids, found = redis.call('ZRANGEBYSCORE', all, '(' .. ARGV[3], '+inf', 'LIMIT', 0, most), {}
for _, id in ipairs(ids) do
  local finishedAt = filter ~= 'pending' and redis.call('ZSCORE', P .. 'fin', id)
  if finishedAt then
    if tonumber(finishedAt) > expired then found[#found + 1] = id end
  elseif filter ~= 'finished' then
    found[#found + 1] = id
  end
end
return {found, #ids == most and redis.call('ZSCORE', all, ids[most]) or false}
`,
  { isReadOnly: true },
)
