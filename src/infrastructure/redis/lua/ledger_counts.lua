-- keep, '' or since when (only what ended then or later) -> {type, state, number of rows}*; changes nothing
local ended = { SUCCEEDED = true, FAILED = true, DEAD = true, CANCELLED = true }
local since = '(' .. text(now - ARGV[1] / 1000)
if ARGV[2] ~= '' and tonumber(ARGV[2]) > now - ARGV[1] / 1000 then
  since = ARGV[2]
end
local answer = {}
for _, type in ipairs(redis.call('SMEMBERS', base .. 'types')) do
  local function add(state, count)
    if count > 0 then
      for _, value in ipairs({ type, state, count }) do
        answer[#answer + 1] = value
      end
    end
  end
  if ARGV[2] == '' then
    for state in pairs(ACTIVE) do
      add(state, redis.call('ZCARD', base .. state .. ':' .. type))
    end
  end
  for state in pairs(ended) do
    add(state, redis.call('ZCOUNT', base .. state .. ':' .. type, since, '+inf'))
  end
end
return answer
