-- What may go: sink, limit -> {event, why it was held before or '', ...} in turn
local sink, limit = ARGV[1], tonumber(ARGV[2])
local holds, behind = base .. 'holds:' .. sink, base .. 'behind:' .. sink
local holding = redis.call('EXISTS', holds) == 1
local found, held, from, page = {}, {}, 0, math.min(limit, STEP)

local function may_go(event, note)
  local job = job_of(event)
  if note ~= '' and tonumber(string.match(note, '^%d+\t([^\t]*)')) > now then
    held[job] = true
  end
  return not held[job] and redis.call('HEXISTS', behind, job) == 0
end

if holding then
  page = 100
end
repeat
  local ids = redis.call('ZRANGE', base .. 'outbox:' .. sink, from, from + page - 1)
  if #ids == 0 then
    break
  end
  local events = redis.call('HMGET', base .. 'events:' .. sink, unpack(ids))
  local notes = holding and redis.call('HMGET', holds, unpack(ids)) or {}
  for i = 1, #ids do
    local note = notes[i] or ''
    if events[i] and #found < 2 * limit and (not holding or may_go(events[i], note)) then
      found[#found + 1] = events[i]
      found[#found + 1] = note
    end
  end
  from = from + page
until #ids < page or #found >= 2 * limit
return found
