-- (index, id)* -> the rows; an id without one leaves the index
local answer = {}
for i = 1, #ARGV, 2 do
  local row = redis.call('GET', base .. 'job:' .. ARGV[i + 1])
  answer[#answer + 1] = row or ''
  if not row then
    redis.call('ZREM', ARGV[i], ARGV[i + 1])
  end
end
return answer
