-- {ready, delayed, in flight, microseconds that the oldest ready one waits, or -1}; changes nothing
local count = redis.call('ZCARD', ready)
for _, list in ipairs({ inbox, claiming }) do
  count = count + redis.call('LLEN', list)
  if redis.call('LINDEX', list, 0) == WAKE then
    count = count - 1
  end
end
local since = math.floor(now / 1000) * 1000 -- as exact as the scores of `ready`
local oldest = since
for _, set in ipairs({ delayed, leases }) do
  count = count + redis.call('ZCOUNT', set, '-inf', now)
  local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2]
  oldest = math.min(oldest, tonumber(first or since))
end
-- The first of each priority is its oldest.
local first = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')[2]
while first do
  oldest = math.min(oldest, (first % SPAN + EPOCH) * 1000)
  local following = (math.floor(first / SPAN) + 1) * SPAN
  local found =
    redis.call('ZRANGEBYSCORE', ready, string.format('%.0f', following), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  first = found[2]
end
local future = '(' .. string.format('%.0f', now)
local known = redis.call('EXISTS', ready) == 1 or oldest < since
return {
  count,
  redis.call('ZCOUNT', delayed, future, '+inf'),
  redis.call('ZCOUNT', leases, future, '+inf'),
  known and since - oldest or -1,
}
