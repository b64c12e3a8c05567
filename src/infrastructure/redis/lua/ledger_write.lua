-- (count, as many values)*: moves, each made if the row is still the one that it was made from. -> for each
-- 'done', 'again' (read it anew), 'full' (the tenant has its running jobs), or 'busy' (another job about the subject)
local LATE = 5000000 -- microseconds after which a move's idea of now is too old: its process stood still

-- Before a letter that expires is put into the indexes: those that have expired leave them, whether or not anybody reads them.
-- One of the same id may be among those.
local function pass(letter, keep)
  local passing = base .. 'passing'
  local gone = redis.call('ZRANGEBYSCORE', passing, '-inf', text(now), 'LIMIT', 0, STEP)
  if #gone > 0 then
    for _, index in ipairs({ 'letters', 'untold', 'passing' }) do
      redis.call('ZREM', base .. index, unpack(gone))
    end
  end
  redis.call('ZADD', passing, text(now + keep / 1000), letter)
end

local function write(given)
  local id, version, read, head, old, new, group, subject = unpack(given, 1, 8)
  local score, lease, keep, running = given[9], given[10], given[11], tonumber(given[12])
  local past, stale, letter, letter_head, letter_body = unpack(given, 13, 17)
  local key = base .. 'job:' .. id
  local type, tenant = string.match(group, '^([^\t]*)\t(.*)$')
  local mine = base .. 'tenant:' .. group
  local row = redis.call('GET', key)
  local found, rest
  if row then
    found, rest = string.match(row, '^%S+ %d+ (%d+) [^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n()')
  end
  if found ~= version or micros - read > LATE then
    return 'again'
  end
  if running > 0 then
    local count = 0
    for _, other in ipairs(redis.call('SMEMBERS', base .. 'types')) do
      count = count + redis.call('ZCOUNT', base .. 'tenant:' .. other .. '\t' .. tenant, '(' .. text(now), '+inf')
    end
    if tonumber(redis.call('ZSCORE', mine, id) or 0) > now then
      count = count - 1
    end
    if count >= running then
      return 'full'
    end
  end
  if subject ~= '' and ACTIVE[new] and not ACTIVE[old] then
    local other = active(group, subject)
    if other and other ~= id then
      return 'busy'
    end
  end

  allow_full()
  local index = base .. new .. ':' .. type
  redis.call('ZADD', index, score, id)
  if ACTIVE[new] then
    redis.call('SET', key, head .. string.sub(row, rest))
    redis.call('ZADD', mine, lease, id)
  else
    redis.call('SET', key, head .. string.sub(row, rest), 'PX', keep)
    redis.call('ZREM', mine, id)
    trim(index, keep)
  end
  if old ~= new then
    redis.call('ZREM', base .. old .. ':' .. type, id)
  end
  if subject ~= '' and ACTIVE[new] ~= ACTIVE[old] then
    if ACTIVE[new] then
      engage(group, subject, id)
    else
      disengage(group, subject, id, keep)
    end
  end
  if past ~= '' then
    redis.call('RPUSH', base .. 'past:' .. id, past)
  end
  if ACTIVE[new] then
    redis.call('PERSIST', base .. 'past:' .. id)
  else
    redis.call('PEXPIRE', base .. 'past:' .. id, keep)
  end
  if stale ~= '' then
    redis.call('DEL', base .. 'letter:' .. stale)
    redis.call('ZREM', base .. 'letters', stale)
    redis.call('ZREM', base .. 'untold', stale)
    redis.call('ZREM', base .. 'passing', stale)
  end
  if letter ~= '' and redis.call('EXISTS', base .. 'letter:' .. letter) == 0 then
    redis.call('HSET', base .. 'letter:' .. letter, 'head', letter_head, 'body', letter_body)
    redis.call('PEXPIRE', base .. 'letter:' .. letter, keep)
    pass(letter, keep)
    redis.call('ZADD', base .. 'letters', text(now), letter)
    redis.call('ZADD', base .. 'untold', text(now), letter)
  end
  for i = 18, #given, 3 do
    local sink, event = given[i], given[i + 1]
    if redis.call('HSETNX', base .. 'events:' .. sink, event, given[i + 2]) == 1 then
      redis.call('SADD', base .. 'sinks', sink)
      redis.call('ZADD', base .. 'outbox:' .. sink, redis.call('INCR', base .. 'turn'), event)
    end
  end
  return 'done'
end

local said, place = {}, 1
while place <= #ARGV do
  local count = tonumber(ARGV[place])
  said[#said + 1] = write({ unpack(ARGV, place + 1, place + count) })
  place = place + count + 1
end
return said
