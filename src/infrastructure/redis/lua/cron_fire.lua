-- Stands before ledger_admit, whose arguments come first; then: name, moment.
-- -> {_, _, 'used'} when this moment or a later one was used up; else what the admission answers
local entry, moment = base .. 'cron:' .. ARGV[9], ARGV[10]
if tonumber(redis.call('HGET', entry, 'at') or 0) >= tonumber(moment) then
  return { tonumber(time[1]), tonumber(time[2]), 'used' }
end
local taken = ARGV[1]
if redis.call('EXISTS', base .. 'job:' .. taken) == 0 and ARGV[4] ~= '' then
  taken = active(ARGV[3], ARGV[4]) or taken
end
redis.call('HSET', entry, 'at', moment, 'fired', text(now), 'job', taken)
