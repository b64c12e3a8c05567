-- id*: forget letters. -> how many there were
local count = 0
for _, id in ipairs(ARGV) do
  count = count + redis.call('DEL', base .. 'letter:' .. id)
  redis.call('ZREM', base .. 'letters', id)
  redis.call('ZREM', base .. 'untold', id)
  redis.call('ZREM', base .. 'passing', id)
end
return count
