-- with bodies or '', id* -> {head or '' when it is gone, told or '', body or ''}*; what is gone leaves the indexes
local answer = {}
for i = 2, #ARGV do
  local found = redis.call('HMGET', base .. 'letter:' .. ARGV[i], 'head', 'told', ARGV[1] == '' and 'told' or 'body')
  answer[#answer + 1] = found[1] or ''
  answer[#answer + 1] = found[2] or ''
  answer[#answer + 1] = found[3] or ''
  if not found[1] then
    redis.call('ZREM', base .. 'letters', ARGV[i])
    redis.call('ZREM', base .. 'untold', ARGV[i])
    redis.call('ZREM', base .. 'passing', ARGV[i])
  end
end
return answer
