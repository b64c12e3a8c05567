-- One at a time sends to a sink: sink, owner, milliseconds -> 1 or 0
local key, owner = base .. 'lead:' .. ARGV[1], ARGV[2]
local leader = redis.call('GET', key)
if leader and leader ~= owner then
  return 0
end
redis.call('SET', key, owner, 'PX', ARGV[3])
return 1
