-- id -> {seconds, micros, row}
return { tonumber(time[1]), tonumber(time[2]), redis.call('GET', base .. 'job:' .. ARGV[1]) }
