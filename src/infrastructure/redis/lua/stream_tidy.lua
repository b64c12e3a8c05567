-- Forget the consumers of a group that ask for nothing any more and have nothing left to answer for: stream; group, the one who asks,
-- milliseconds -> {consumer, ...}. In one step: an entry that a consumer was given between the look and its removal would go with
-- it, and nobody could take it over. What a dead one left, others take over first, and then it has nothing.
local gone = {}
for _, told in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local of = {}
  for i = 1, #told, 2 do
    of[told[i]] = told[i + 1]
  end
  if of.name ~= ARGV[2] and of.pending == 0 and of.idle >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], of.name)
    gone[#gone + 1] = of.name
  end
end
return gone
