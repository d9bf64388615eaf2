/**
 * Lua for all scripts that change what is kept. Counted are, by limit key,
 *
 * - `kept` (hash): bytes of jobs, of answers, and of results that arrive; those of all in `bytes` of the hash `tot`;
 * - `give` (zset): the same for those who have something that can be removed: `e:<key>`, their finished jobs by the date of their
 *   end, and `d:<key>`, their answers by date.
 *
 * Changes are gathered and written once by `settleKept`.
 */
export const KEPT_COUNTS = `
local keptChanges, isRemovable = {}, {}
local function keep(key, bytes)
  keptChanges[key] = (keptChanges[key] or 0) + bytes
end
-- Returns the bytes of all.
local function settleKept()
  local all = 0
  for key, change in pairs(keptChanges) do
    local now = redis.call('HINCRBY', P .. 'kept', key, change)
    if now <= 0 then redis.call('HDEL', P .. 'kept', key) end
    if isRemovable[key] then
      redis.call('ZADD', P .. 'give', now, key)
    else
      redis.call('ZADD', P .. 'give', 'XX', now, key)
    end
    all = all + change
  end
  keptChanges, isRemovable = {}, {}
  if all ~= 0 then return redis.call('HINCRBY', P .. 'tot', 'bytes', all) end
  return tonumber(redis.call('HGET', P .. 'tot', 'bytes') or 0)
end
`
