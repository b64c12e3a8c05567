-- lease or '' (only look), ids, fences -> for each: 0 lost, 1 held, 2 held and to be cancelled
local ids, fences = lines(ARGV[2]), lines(ARGV[3])
local rows, keys = rows_of(ids)
local RUNNING = '^RUNNING (%d+) (%d+) %S+ %S+ (%S+)()[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n([^\n]*)'
local ends = ARGV[1] ~= '' and text(now + ARGV[1])
local said = {}
if ends then
  allow_full()
end
for i, id in ipairs(ids) do
  local fence, version, cancel, rest, group
  if rows[i] then
    fence, version, cancel, rest, group = string.match(rows[i], RUNNING)
  end
  if fence ~= fences[i] then
    said[i] = '0'
  else
    said[i] = cancel == '-' and '1' or '2'
    if ends then
      local head = { 'RUNNING ', fence, ' ', after(version), ' ', ends, ' ', ends, ' ', cancel }
      redis.call('SET', keys[i], table.concat(head) .. string.sub(rows[i], rest))
      redis.call('ZADD', base .. 'RUNNING:' .. type_of(group), ends, id)
      redis.call('ZADD', base .. 'tenant:' .. group, ends, id)
    end
  end
end
return table.concat(said)
