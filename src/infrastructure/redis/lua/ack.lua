-- ids, counts, lengths of keys, keys: remove for good what is still held by these receipts.
local ids, counts, names = {}, {}, {}
for id in string.gmatch(ARGV[1], '%S+') do
  ids[#ids + 1] = id
end
for count in string.gmatch(ARGV[2], '%S+') do
  counts[#counts + 1] = count
end
local first = 1
for length in string.gmatch(ARGV[3], '%S+') do
  names[#names + 1] = string.sub(ARGV[4], first, first + length - 1)
  first = first + length
end
local current = redis.call('HMGET', claims, unpack(ids))
local gone, named, theirs = {}, {}, {}
for i, id in ipairs(ids) do
  if current[i] == counts[i] then
    gone[#gone + 1] = id
    if names[i] ~= '' then
      named[#named + 1] = names[i]
      theirs[#named] = id
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
if #named > 0 then
  local latest, free = redis.call('HMGET', keys, unpack(named)), {}
  for i, key in ipairs(named) do
    if latest[i] == theirs[i] then
      free[#free + 1] = key
    end
  end
  if #free > 0 then
    redis.call('HDEL', keys, unpack(free))
  end
end
if redis.call('EXISTS', messages) == 0 then
  redis.call('DEL', seq)
  if redis.call('LLEN', inbox) == 1 then
    unwake()
  end
end
return #gone
