-- keep, ids, (fence result)*: successes. -> '' when all are there, else a 1 or 0 for each
local keep = ARGV[1]
local ids = lines(ARGV[2])
local rows, keys = rows_of(ids)
local at, stamp = text(now), string.format('%.0f', micros)
local RUNNING = '^RUNNING (%d+) (%d+) %S+ %S+ (%S+) %S+ (%d+)\n([^\n]*)\n[^\n]*\n[^\n]*\n()([^\n]*)\n([^\n]*)\n'
local i, all, said, groups = 0, true, {}, {}

allow_full()
for given, result in string.gmatch(ARGV[3], '(%d+) ([^\n]*)\n') do
  i = i + 1
  local row = rows[i]
  local fence, version, cancel, past, kept, rest, group, subject
  if row then
    fence, version, cancel, past, kept, rest, group, subject = string.match(row, RUNNING)
  end
  if fence == given then
    version = tonumber(version) < micros and stamp or after(version)
    local head = { 'SUCCEEDED ', fence, ' ', version, ' - - ', cancel, ' ', at, ' ', past, '\n', kept, '\n\n', result, '\n' }
    redis.call('SET', keys[i], table.concat(head) .. string.sub(row, rest), 'PX', keep)
    local mine = groups[group]
    if not mine then
      mine = { ids = {}, ended = {} }
      groups[group] = mine
    end
    local n = #mine.ids + 1
    mine.ids[n] = ids[i]
    mine.ended[2 * n - 1] = at
    mine.ended[2 * n] = ids[i]
    if past ~= '0' then
      redis.call('PEXPIRE', base .. 'past:' .. ids[i], keep)
    end
    if subject ~= '' then
      disengage(group, subject, ids[i], keep)
    end
    said[i] = '1'
  elseif row and string.match(row, '^SUCCEEDED (%d+) ') == given then
    said[i] = '1' -- the answer to this was lost
  else
    all = false
    said[i] = '0'
  end
end
for group, mine in pairs(groups) do
  local type = type_of(group)
  local ended = base .. 'SUCCEEDED:' .. type
  spread('ZADD', ended, mine.ended)
  trim(ended, keep)
  spread('ZREM', base .. 'RUNNING:' .. type, mine.ids)
  spread('ZREM', base .. 'tenant:' .. group, mine.ids)
end
return all and '' or table.concat(said)
