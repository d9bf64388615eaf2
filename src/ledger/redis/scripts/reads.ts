import { defineScript } from '../script.ts'

/**
 * ARGV: caller, date before which jobs have expired, most bytes of results, 1 if intermediate results are wanted, ids. Returns for each
 * job that is the caller's: its place among the ids, state, node, whether its results have keys of their own, then for the result and
 * the intermediate ones the bytes, or false where they are too long, and the length, or -1 where there are none.
 */
export const READ = defineScript(
  `
local left, found = tonumber(ARGV[3]), {}
for i = 5, #ARGV do
  local j = P .. 'j:' .. ARGV[i]
  local job = redis.call('HMGET', j, 'c', 's', 'n', 'f', 'rl', 'il')
  if job[1] == ARGV[1] and not (job[4] and tonumber(job[4]) <= tonumber(ARGV[2])) then
    local row = {i - 5, job[2], job[3], job[5] and 1 or 0}
    local function add(field, length)
      local bytes = false
      if not job[5] then
        length = redis.call('HSTRLEN', j, field)
        if length <= left then bytes = redis.call('HGET', j, field) end
        if bytes then left = left - length elseif length == 0 then length = -1 end
      end
      row[#row + 1] = bytes
      row[#row + 1] = tonumber(length or -1)
    end
    add('res', job[5])
    if ARGV[4] == '1' then add('int', job[6]) else row[7], row[8] = false, -1 end
    found[#found + 1] = row
  end
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
