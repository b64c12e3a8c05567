-- owner (JSON), lease, ids, (type \t tenant, subject, rest of the row)*: new jobs, running.
-- -> {seconds, micros, '' or a 1 or 0 for each}
local ids = lines(ARGV[3])
local ends = text(now + ARGV[2])
local at = text(now)
local head = string.format(
  'RUNNING 1 %.0f %s %s - - 0\n[%s,%s,%s,1,1,0,%s,{}]\n\n\n',
  micros,
  ends,
  ends,
  at,
  at,
  at,
  ARGV[1]
)
local keys, fresh = {}, 0
for i, id in ipairs(ids) do
  keys[i] = base .. 'job:' .. id
end
for i = 1, #keys, STEP do
  fresh = fresh + redis.call('EXISTS', unpack(keys, i, math.min(i + STEP - 1, #keys)))
end
fresh = fresh == 0

local i, n, all, said = 0, 0, true, {}
local values, groups, taken = {}, {}, {}

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

for group, subject, rest in string.gmatch(ARGV[4], '([^\n]*)\n([^\n]*)\n([^\n]*)\n') do
  i = i + 1
  local id = ids[i]
  if (fresh or redis.call('EXISTS', keys[i]) == 0) and (subject == '' or take(group, subject, id)) then
    values[n + 1] = keys[i]
    values[n + 2] = head .. group .. '\n' .. subject .. '\n' .. rest
    n = n + 2
    local mine = groups[group]
    if not mine then
      mine = {}
      groups[group] = mine
    end
    local last = #mine
    mine[last + 1] = ends
    mine[last + 2] = id
    said[i] = '1'
  else
    all = false
    said[i] = '0'
  end
end
for first = 1, n, STEP do
  redis.call('MSET', unpack(values, first, math.min(first + STEP - 1, n)))
end
for group, mine in pairs(groups) do
  local type = type_of(group)
  redis.call('SADD', base .. 'types', type)
  spread('ZADD', base .. 'RUNNING:' .. type, mine)
  spread('ZADD', base .. 'tenant:' .. group, mine)
end
return { tonumber(time[1]), tonumber(time[2]), all and '' or table.concat(said) }
