-- The sink has them: sink, ids
local sink = ARGV[1]
local events = base .. 'events:' .. sink
allow_full()
for i = 2, #ARGV do
  local id = ARGV[i]
  if redis.call('HDEL', base .. 'holds:' .. sink, id) == 1 and redis.call('ZREM', base .. 'parked:' .. sink, id) == 1 then
    redis.call('HDEL', base .. 'behind:' .. sink, job_of(redis.call('HGET', events, id)))
  end
  redis.call('ZREM', base .. 'outbox:' .. sink, id)
  redis.call('HDEL', events, id)
end
if redis.call('EXISTS', base .. 'outbox:' .. sink, base .. 'parked:' .. sink) == 0 then
  redis.call('SREM', base .. 'sinks', sink)
end
return 0
