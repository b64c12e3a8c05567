-- owner (JSON), lease, (type \t tenant, with subjects or '', ids, (subject, if there are,) rest of the row)*: new jobs,
-- running. -> {seconds, micros, '' or a 1 or 0 for each}
local ends, at = text(now + ARGV[2]), text(now)
local form = 'RUNNING 1 %.0f %s %s - - 0\n[%s,%s,%s,1,1,0,%s,{}]\n\n\n'
local head = string.format(form, micros, ends, ends, at, at, at, ARGV[1])
local n, all, said = 0, true, {}
local values, filled, taken = {}, 0, {}

-- Rows are written at the end: of two about one subject, the first takes it here.
local function take(group, subject, id)
  local key = about(group, subject)
  if taken[key] or active(group, subject) then
    return false
  end
  taken[key] = true
  engage(group, subject, id)
  return true
end

local function fresh(keys)
  local there = 0
  for i = 1, #keys, STEP do
    there = there + redis.call('EXISTS', unpack(keys, i, math.min(i + STEP - 1, #keys)))
  end
  return there == 0
end

local indexes = {}
for i = 3, #ARGV, 4 do
  local group, subjects, ids, rests = ARGV[i], ARGV[i + 1] ~= '', lines(ARGV[i + 2]), lines(ARGV[i + 3])
  local keys = keys_of(ids)
  local new, start = fresh(keys), head .. group .. '\n'
  -- A type's jobs with a subject and those without come apart.
  local mine = indexes[group] or {}
  local m = #mine
  local bare = start .. '\n'
  for k = 1, #ids do
    local id, subject = ids[k], subjects and rests[2 * k - 1] or ''
    n = n + 1
    if (new or redis.call('EXISTS', keys[k]) == 0) and (subject == '' or take(group, subject, id)) then
      values[filled + 1] = keys[k]
      values[filled + 2] = subjects and start .. subject .. '\n' .. rests[2 * k] or bare .. rests[k]
      filled = filled + 2
      mine[m + 1] = ends
      mine[m + 2] = id
      m = m + 2
      said[n] = '1'
    else
      all = false
      said[n] = '0'
    end
  end
  indexes[group] = mine
end
for first = 1, filled, STEP do
  redis.call('MSET', unpack(values, first, math.min(first + STEP - 1, filled)))
end
for group, mine in pairs(indexes) do
  if #mine > 0 then
    local type = type_of(group)
    redis.call('SADD', base .. 'types', type)
    spread('ZADD', base .. 'RUNNING:' .. type, mine)
    spread('ZADD', base .. 'tenant:' .. group, mine)
  end
end
return { tonumber(time[1]), tonumber(time[2]), all and '' or table.concat(said) }
