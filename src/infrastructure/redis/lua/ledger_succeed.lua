-- keep, ids, fences, results: successes. -> '' when all are there, else a 1 or 0 for each
local keep = ARGV[1]
local ids, fences, results = lines(ARGV[2]), lines(ARGV[3]), lines(ARGV[4])
local rows, keys = rows_of(ids)
local at = text(now)
local FORM = '^RUNNING (%d+) (%d+) %S+ %S+ (%S+) %S+ (%d+)\n([^\n]*)\n[^\n]*\n[^\n]*\n([^\n]*)\n([^\n]*)\n()'
local all, said, groups = true, {}, {}

-- Jobs that began together have rows that begin alike: what was made of one such beginning serves the next row.
local beginning, length, known = '', 0, nil

local function look(row)
  beginning, length = '', 0
  local fence, version, cancel, past, kept, group, subject, rest = string.match(row, FORM)
  if not fence then
    return nil
  end
  beginning, length = sub(row, 1, rest - 1), rest - 1
  local mine = groups[group]
  if not mine then
    mine = { ids = {}, ended = {}, count = 0 }
    groups[group] = mine
  end
  local head = { 'SUCCEEDED ', fence, ' ', after(version), ' - - ', cancel, ' ', at, ' ', past, '\n', kept, '\n\n' }
  return {
    fence = fence,
    past = past,
    group = group,
    subject = subject,
    mine = mine,
    head = table.concat(head),
    middle = '\n' .. group .. '\n' .. subject .. '\n',
  }
end

allow_full()
for i = 1, #ids do
  local row, fence, found = rows[i], fences[i], nil
  if row then
    if length == 0 or sub(row, 1, length) ~= beginning then
      known = look(row)
    end
    found = known
  end
  if found and found.fence == fence then
    redis.call('SET', keys[i], found.head .. results[i] .. found.middle .. sub(row, length + 1), 'PX', keep)
    local mine = found.mine
    local n = mine.count + 1
    mine.count = n
    mine.ids[n] = ids[i]
    mine.ended[2 * n - 1] = at
    mine.ended[2 * n] = ids[i]
    if found.past ~= '0' then
      redis.call('PEXPIRE', base .. 'past:' .. ids[i], keep)
    end
    if found.subject ~= '' then
      disengage(found.group, found.subject, ids[i], keep)
    end
    said[i] = '1'
  elseif row and string.match(row, '^SUCCEEDED (%d+) ') == fence then
    said[i] = '1' -- the answer to this was lost
  else
    all = false
    said[i] = '0'
  end
end
for group, mine in pairs(groups) do
  if mine.count > 0 then
    local type = type_of(group)
    local ended = base .. 'SUCCEEDED:' .. type
    spread('ZADD', ended, mine.ended)
    trim(ended, keep)
    spread('ZREM', base .. 'RUNNING:' .. type, mine.ids)
    spread('ZREM', base .. 'tenant:' .. group, mine.ids)
  end
end
return all and '' or table.concat(said)
