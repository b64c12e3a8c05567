-- Held events go on: sink, ids -> those that were held
local sink, found = ARGV[1], {}
allow_full()
for i = 2, #ARGV do
  local id = ARGV[i]
  if redis.call('HDEL', base .. 'holds:' .. sink, id) == 1 then
    found[#found + 1] = id
    local score = redis.call('ZSCORE', base .. 'parked:' .. sink, id)
    if score then
      redis.call('ZREM', base .. 'parked:' .. sink, id)
      redis.call('ZADD', base .. 'outbox:' .. sink, score, id)
      redis.call('HDEL', base .. 'behind:' .. sink, job_of(redis.call('HGET', base .. 'events:' .. sink, id)))
    end
  end
end
return found
