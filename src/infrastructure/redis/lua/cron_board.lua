-- names by lines -> {seconds, micros, one flat list of fields and values for each}
-- cron:<name>  hash  at: the last moment that fired, fired: when, job: its id, since:<schedule>: when it was first seen; never expires
local found = { tonumber(time[1]), tonumber(time[2]) }
for _, name in ipairs(lines(ARGV[1])) do
  found[#found + 1] = redis.call('HGETALL', base .. 'cron:' .. name)
end
return found
