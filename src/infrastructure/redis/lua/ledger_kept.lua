-- All that is unsent, or what is parked: sink, limit, '1' for what is parked alone -> {event, why it is held or '', ...} in turn
local sink, limit = ARGV[1], tonumber(ARGV[2])
local entries, found = {}, {}

local function from(key)
  local told = redis.call('ZRANGE', base .. key .. sink, 0, limit - 1, 'WITHSCORES')
  for i = 1, #told, 2 do
    entries[#entries + 1] = { told[i], tonumber(told[i + 1]) }
  end
end

from('parked:')
if ARGV[3] ~= '1' then
  from('outbox:')
end
table.sort(entries, function(one, other)
  return one[2] < other[2]
end)
for i = 1, math.min(limit, #entries) do
  local event = redis.call('HGET', base .. 'events:' .. sink, entries[i][1])
  if event then
    found[#found + 1] = event
    found[#found + 1] = redis.call('HGET', base .. 'holds:' .. sink, entries[i][1]) or ''
  end
end
return found
