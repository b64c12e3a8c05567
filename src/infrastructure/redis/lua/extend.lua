-- visibility, (id, count)*: hide for so long from now what is still held by these receipts.
local visibility = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  if redis.call('HGET', claims, ARGV[i]) == ARGV[i + 1] then
    redis.call('ZADD', leases, now + visibility, ARGV[i])
    redis.call('ZREM', ready, ARGV[i])
  end
end
return 0
