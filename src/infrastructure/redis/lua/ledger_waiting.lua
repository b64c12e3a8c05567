-- {sink, how many, the oldest event, ...}
local told = {}
for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
  local first = redis.call('ZRANGE', base .. 'outbox:' .. sink, 0, 0)[1]
  if first then
    told[#told + 1] = sink
    told[#told + 1] = redis.call('ZCARD', base .. 'outbox:' .. sink)
    told[#told + 1] = redis.call('HGET', base .. 'events:' .. sink, first)
  end
end
return told
