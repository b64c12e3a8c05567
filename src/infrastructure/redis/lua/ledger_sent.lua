-- The sink has them: sink, ids
local sink = ARGV[1]
allow_full()
for i = 2, #ARGV do
  redis.call('ZREM', base .. 'outbox:' .. sink, ARGV[i])
  redis.call('HDEL', base .. 'events:' .. sink, ARGV[i])
end
if redis.call('EXISTS', base .. 'outbox:' .. sink) == 0 then
  redis.call('SREM', base .. 'sinks', sink)
end
return 0
