-- (id, count, key)*: remove for good what is still held by these receipts.
local given = {}
for i = 1, #ARGV, 3 do
  given[#given + 1] = ARGV[i]
end
local current = redis.call('HMGET', claims, unpack(given))
local gone, named = {}, {}
for i, id in ipairs(given) do
  if current[i] == ARGV[3 * i - 1] then
    gone[#gone + 1] = id
    if ARGV[3 * i] ~= '' then
      named[#named + 1] = 3 * i
    end
  end
end
if #gone == 0 then
  return 0
end
if redis.call('ZREM', leases, unpack(gone)) < #gone then
  redis.call('ZREM', ready, unpack(gone)) -- its visibility had ended, but nobody had taken it
end
redis.call('HDEL', messages, unpack(gone))
redis.call('HDEL', claims, unpack(gone))
for _, i in ipairs(named) do
  if redis.call('HGET', keys, ARGV[i]) == ARGV[i - 2] then
    redis.call('HDEL', keys, ARGV[i])
  end
end
if redis.call('EXISTS', messages) == 0 then
  redis.call('DEL', seq)
  if redis.call('LLEN', inbox) == 1 then
    unwake()
  end
end
return #gone
