-- id, delay, type \t tenant, subject, rest of the row, most active of the tenant, most active, most about the subject
-- -> {seconds, micros, 'new'} or {_, _, 'there', id, row} or {_, _, reason}
local id, group, subject = ARGV[1], ARGV[3], ARGV[4]
local most = { tenant = tonumber(ARGV[6]), total = tonumber(ARGV[7]), subject = tonumber(ARGV[8]) }
local seconds, rest = tonumber(time[1]), tonumber(time[2])
local type = type_of(group)
local there = id
local row = redis.call('GET', base .. 'job:' .. id)
if not row and subject ~= '' then
  there = active(group, subject)
  row = there and redis.call('GET', base .. 'job:' .. there)
end
if row then
  return { seconds, rest, 'there', there, row }
end
if most.tenant > 0 and redis.call('ZCARD', base .. 'tenant:' .. group) >= most.tenant then
  return { seconds, rest, 'tenant_limit' }
end
if most.total > 0 then
  local total = 0
  for state in pairs(ACTIVE) do
    total = total + redis.call('ZCARD', base .. state .. ':' .. type)
  end
  if total >= most.total then
    return { seconds, rest, 'global_limit' }
  end
end
if most.subject > 0 and subject ~= '' then
  if redis.call('ZCOUNT', about(group, subject), '(' .. text(now), '+inf') >= most.subject then
    return { seconds, rest, 'per_video_limit' }
  end
end
local due, at = text(now + ARGV[2]), text(now)
local head = string.format('QUEUED 0 %.0f - %s - - 0\n[%s,null,%s,1,0,0,null,{}]\n\n\n', micros, due, at, due)
redis.call('SET', base .. 'job:' .. id, head .. group .. '\n' .. subject .. '\n' .. ARGV[5])
redis.call('SADD', base .. 'types', type)
redis.call('ZADD', base .. 'QUEUED:' .. type, due, id)
redis.call('ZADD', base .. 'tenant:' .. group, 0, id)
if subject ~= '' then
  engage(group, subject, id)
end
return { seconds, rest, 'new' }
