-- id -> {row or nothing, executions that it does not tell of}; changes nothing
return {
  redis.call('GET', base .. 'job:' .. ARGV[1]) or '',
  redis.call('LRANGE', base .. 'past:' .. ARGV[1], 0, -1),
}
