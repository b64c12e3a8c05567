-- Put an event off, or park it: sink, id, tries, seconds ('' parks it), error
local sink, id, retry_at = ARGV[1], ARGV[2], ''
local event = redis.call('HGET', base .. 'events:' .. sink, id)
if not event then
  return 0
end
allow_full()
local score = redis.call('ZSCORE', base .. 'outbox:' .. sink, id)
if ARGV[4] ~= '' then
  retry_at = text(now + tonumber(ARGV[4]))
elseif score then
  redis.call('ZREM', base .. 'outbox:' .. sink, id)
  redis.call('ZADD', base .. 'parked:' .. sink, score, id)
  redis.call('HSET', base .. 'behind:' .. sink, job_of(event), id)
end
redis.call('HSET', base .. 'holds:' .. sink, id, ARGV[3] .. '\t' .. retry_at .. '\t' .. ARGV[5])
return 1
