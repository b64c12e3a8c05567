-- {sink, how many, how many of them are parked, the oldest event, ...}
local told = {}
for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
  local parked, going = base .. 'parked:' .. sink, base .. 'outbox:' .. sink
  local oldest, score
  for _, key in ipairs({ parked, going }) do
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[1] and (not score or tonumber(first[2]) < score) then
      oldest, score = first[1], tonumber(first[2])
    end
  end
  if oldest then
    local many = redis.call('ZCARD', parked)
    told[#told + 1] = sink
    told[#told + 1] = many + redis.call('ZCARD', going)
    told[#told + 1] = many
    told[#told + 1] = redis.call('HGET', base .. 'events:' .. sink, oldest)
  end
end
return told
