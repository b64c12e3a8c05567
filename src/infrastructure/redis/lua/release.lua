-- id, count, delay: give back what is still held by this receipt, which is worth nothing afterwards.
local id, count, delay = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HGET', claims, id) ~= count then
  return 0
end
local _, priority = header(redis.call('HGET', messages, id))
place(id, priority, now + delay, true)
redis.call('HSET', claims, id, '-' .. count)
return 1
