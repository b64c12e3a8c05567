-- id, created, told or '', head, body: keep a letter that is not there
local id = ARGV[1]
local key = base .. 'letter:' .. id
if redis.call('EXISTS', key) == 0 then
  redis.call('HSET', key, 'head', ARGV[4], 'body', ARGV[5])
  redis.call('ZADD', base .. 'letters', ARGV[2], id)
  if ARGV[3] == '' then
    redis.call('ZADD', base .. 'untold', ARGV[2], id)
  else
    redis.call('HSET', key, 'told', ARGV[3])
  end
end
return 0
