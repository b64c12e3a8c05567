-- limit, visibility, token, bytes -> {microseconds until something is due, or -1}
--                                 or {0, ids, counts, lengths of the records, the records}
local limit, visibility, token, bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local SWEEP = 1000
local READ = 64 -- bodies that are in the script's hands at a time at most, however large they are

-- What was delayed until now, in its turn; what was not acknowledged in time, in its old place.
local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'WITHSCORES', 'LIMIT', 0, SWEEP)
for i = 1, #due, 2 do
  local record = redis.call('HGET', messages, due[i])
  if record then
    local _, priority = header(record)
    redis.call('ZADD', ready, score(priority, tonumber(due[i + 1])), due[i])
  end
  redis.call('ZREM', delayed, due[i])
end
local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, SWEEP)
for _, id in ipairs(ended) do
  local record = redis.call('HGET', messages, id)
  if record then
    local at, priority = header(record)
    redis.call('ZADD', ready, score(priority, at), id)
  end
  redis.call('ZREM', leases, id)
end

local ids, counts, lengths, records = {}, {}, {}, {}
local room, reading, budget = limit, 1, bytes

-- How many to read now: few at first, then as many as fit if they are like those before. What is read and does not fit was
-- read in vain.
local function portion()
  reading = math.min(READ, reading * 4)
  local used = budget - bytes
  local like = used > 0 and math.ceil(bytes / used * #ids) or room
  return math.min(room, reading, like)
end

-- Whether another one may be held: the last may go beyond the bytes.
local function fits()
  return room > 0 and bytes > 0
end

-- Lease what `hold` collected since the last time.
local lease, claim = {}, {}
local function hold(id, count, record)
  local n = #ids + 1
  ids[n], counts[n], lengths[n], records[n] = id, count, #record, record
  claim[#claim + 1] = id
  claim[#claim + 1] = count
  lease[#lease + 1] = now + visibility
  lease[#lease + 1] = id
  room, bytes = room - 1, bytes - #record
end

local function keep()
  if #lease > 0 then
    redis.call('HSET', claims, unpack(claim))
    redis.call('ZADD', leases, unpack(lease))
    lease, claim = {}, {}
  end
end

-- Those of `ready` that come before `below`.
local function take(below)
  local border = below and '(' .. string.format('%.0f', below) or '+inf'
  while fits() do
    local found = redis.call('ZRANGEBYSCORE', ready, '-inf', border, 'LIMIT', 0, portion())
    if #found == 0 then
      return
    end
    local bodies = redis.call('HMGET', messages, unpack(found))
    local before = redis.call('HMGET', claims, unpack(found))
    local done = 0
    while done < #found and fits() do
      done = done + 1
      if bodies[done] then
        hold(found[done], math.abs(tonumber(before[done] or 0)) + 1, bodies[done])
      end
    end
    keep()
    redis.call('ZREM', ready, unpack(found, 1, done))
  end
end

-- Bodies from outside become messages.
local function adopt(list)
  while fits() do
    local bodies = redis.call('LRANGE', list, 0, portion() - 1)
    if #bodies == 0 then
      return
    end
    local last = redis.call('INCRBY', seq, #bodies) - #bodies
    local store, done = {}, 0
    while done < #bodies and fits() do
      done = done + 1
      local body = bodies[done]
      if body ~= WAKE then
        local id = string.format('%012.0f-', last + done) .. token
        local record = string.format('~%.0f:0:0:0:', now) .. body
        store[#store + 1] = id
        store[#store + 1] = record
        hold(id, 1, record)
      end
    end
    if #store > 0 then
      redis.call('HSET', messages, unpack(store))
    end
    keep()
    redis.call('LPOP', list, done)
  end
end

unwake()
if redis.call('LLEN', inbox) + redis.call('LLEN', claiming) == 0 then
  take()
else
  -- Priorities are strict. Bodies from outside have 0, and nobody knows since when they wait: they and our own of that
  -- priority take turns, by a coin, so that neither side starves.
  take(0)
  if string.byte(token, -1) % 2 == 0 then
    take(SPAN)
  end
  adopt(claiming)
  adopt(inbox)
  take()
end

if #ids == 0 then
  local wait = -1
  for _, set in ipairs({ delayed, leases }) do
    local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2]
    if first and (wait < 0 or first - now < wait) then
      wait = math.max(0, first - now)
    end
  end
  if redis.call('EXISTS', messages) == 0 then
    redis.call('DEL', seq)
  end
  return { wait }
end
if redis.call('EXISTS', ready, claiming) > 0 then
  wake()
end
return { 0, table.concat(ids, ' '), table.concat(counts, ' '), table.concat(lengths, ' '), table.concat(records) }
