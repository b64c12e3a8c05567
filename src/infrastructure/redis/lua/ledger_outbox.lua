-- What is unsent: sink, limit -> {event, ...} in turn
local sink, limit = ARGV[1], tonumber(ARGV[2])
local ids = redis.call('ZRANGE', base .. 'outbox:' .. sink, 0, limit - 1)
if #ids == 0 then
  return {}
end
return redis.call('HMGET', base .. 'events:' .. sink, unpack(ids))
