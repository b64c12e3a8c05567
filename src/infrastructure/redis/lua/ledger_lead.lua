-- One at a time sends to a sink: sink, owner, milliseconds (0: no longer) -> 1 or 0
local key, owner = base .. 'lead:' .. ARGV[1], ARGV[2]
local leader = redis.call('GET', key)
if leader and leader ~= owner then
  return 0
end
if ARGV[3] == '0' then
  redis.call('DEL', key)
else
  redis.call('SET', key, owner, 'PX', ARGV[3])
end
return 1
