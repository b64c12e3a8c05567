-- Shared by the queue's scripts: what is where, and what time it is. Times are microseconds of the server's clock.
--
-- inbox     list    bodies as anybody pushed them, and now and then WAKE, which ends a worker's blocking wait
-- claiming  list    bodies that a waiting worker moved here when it woke up; whoever receives next takes them
-- messages  hash    id -> "[~]enqueued:priority:key length:attributes length:" key attributes body   (~: first seen then)
-- ready     zset    id by priority, then time; of the same time, by id
-- delayed   zset    id by the time from which it is visible
-- leases    zset    id by the time at which its receive's visibility ends
-- claims    hash    id -> how often it was received; negative when no receipt is good any more
-- keys      hash    publisher's key -> id of its latest message
-- seq       number  of the latest id; goes when the queue is empty
local inbox, claiming, messages, ready, delayed, leases, claims, keys, seq = unpack(KEYS)
local WAKE = '\0mediaworker: wake up'
local SPAN = 2199023255552 -- 2^41 ms: 70 years from 2020, so 12 bits are left for priorities
local EPOCH = 1577836800000 -- 2020-01-01 in ms
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function score(priority, at)
  return priority * SPAN + math.max(0, math.min(SPAN - 1, math.floor(at / 1000) - EPOCH))
end

-- When the message was enqueued, and its priority.
local function header(record)
  local at, priority = string.match(record, '^~?(%d+):(-?%d+):')
  return tonumber(at), tonumber(priority)
end

-- One waiting worker looks again. A single WAKE is enough: whoever leaves something behind wakes the next.
local function wake()
  if redis.call('LLEN', inbox) == 0 then
    redis.call('RPUSH', inbox, WAKE)
  end
end

local function unwake()
  if redis.call('LINDEX', inbox, 0) == WAKE then
    redis.call('LPOP', inbox)
  end
end

-- Whatever adds comes before whatever removes, here and in each script: a script that fails half way (a command that
-- this user may not use) leaves a message twice, never nowhere.
local function place(id, priority, at, moved)
  local to, from = delayed, ready
  if at <= now then
    to, from = ready, delayed
    redis.call('ZADD', ready, score(priority, at), id)
  else
    redis.call('ZADD', delayed, at, id)
  end
  if moved then
    redis.call('ZREM', from, id)
    redis.call('ZREM', leases, id)
  end
  if to == ready then
    wake()
  else
    if redis.call('ZRANGE', delayed, 0, 0)[1] == id then
      wake() -- somebody's wait was reckoned without it
    end
  end
end
