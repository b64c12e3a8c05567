-- names, schedules; both by lines
local schedules = lines(ARGV[2])
for i, name in ipairs(lines(ARGV[1])) do
  redis.call('HSETNX', base .. 'cron:' .. name, 'since:' .. schedules[i], text(now))
end
