-- id*: forget letters. -> how many there were
local count = 0
for _, id in ipairs(ARGV) do
  count = count + redis.call('DEL', base .. 'letter:' .. id)
  redis.call('ZREM', base .. 'letters', id)
  redis.call('ZREM', base .. 'untold', id)
end
return count
