-- delay, (id, count)*: give back what is still held by these receipts, which are worth nothing afterwards.
local at = now + tonumber(ARGV[1])
local ids, counts = {}, {}
for i = 2, #ARGV, 2 do
  ids[#ids + 1], counts[#counts + 1] = ARGV[i], ARGV[i + 1]
end
local current = redis.call('HMGET', claims, unpack(ids))
local back, spent = {}, {}
for i, id in ipairs(ids) do
  if current[i] == counts[i] then
    back[#back + 1] = id
    spent[#spent + 1] = id
    spent[#spent + 1] = '-' .. counts[i]
  end
end
if #back == 0 then
  return 0
end
local places = {}
if at <= now then
  for i, record in ipairs(redis.call('HMGET', messages, unpack(back))) do
    local _, priority = header(record)
    places[2 * i - 1], places[2 * i] = score(priority, at), back[i]
  end
  redis.call('ZADD', ready, unpack(places))
else
  for i, id in ipairs(back) do
    places[2 * i - 1], places[2 * i] = at, id
  end
  redis.call('ZADD', delayed, unpack(places))
  redis.call('ZREM', ready, unpack(back)) -- their visibility had ended, but nobody had taken them
end
redis.call('ZREM', leases, unpack(back))
redis.call('HSET', claims, unpack(spent))
if at <= now or tonumber(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]) >= at then
  wake() -- somebody's wait was reckoned without them
end
return #back
