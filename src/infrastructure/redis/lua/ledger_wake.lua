-- limit, '' or types: active jobs whose time has come, oldest first. -> {id, row}*
local limit = tonumber(ARGV[1])
local types = ARGV[2] == '' and redis.call('SMEMBERS', base .. 'types') or lines(ARGV[2])
local due = {}
for _, type in ipairs(types) do
  for state in pairs(ACTIVE) do
    local index = base .. state .. ':' .. type
    local found = redis.call('ZRANGEBYSCORE', index, '-inf', text(now), 'WITHSCORES', 'LIMIT', 0, limit)
    for i = 1, #found, 2 do
      due[#due + 1] = { tonumber(found[i + 1]), found[i], state, index }
    end
  end
end
table.sort(due, function(one, other)
  if one[1] ~= other[1] then
    return one[1] < other[1]
  end
  return one[2] < other[2]
end)
local answer = {}
for i = 1, math.min(limit, #due) do
  local _, id, state, index = unpack(due[i])
  local row = redis.call('GET', base .. 'job:' .. id)
  if row and string.match(row, '^%S+') == state then
    answer[#answer + 1] = id
    answer[#answer + 1] = row
  else
    redis.call('ZREM', index, id) -- somebody took the row away behind our back
  end
end
return answer
