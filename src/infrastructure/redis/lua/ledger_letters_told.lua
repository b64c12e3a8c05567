-- id*: somebody was told of these letters; the first time counts
allow_full()
for _, id in ipairs(ARGV) do
  local key = base .. 'letter:' .. id
  redis.call('ZREM', base .. 'untold', id)
  if redis.call('EXISTS', key) == 1 then
    redis.call('HSETNX', key, 'told', text(now))
  end
end
return 0
