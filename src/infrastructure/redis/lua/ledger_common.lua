-- Shared by the ledger's scripts: what is where, and what time it is. KEYS[1] is what all keys of a ledger begin with.
-- Names in keys are escaped as in JSON, so that no name holds a tab or a line's end. Times are seconds of the server's clock.
--
-- job:<id>            string  a row, by lines (ledger_rows.py); an ended one expires
-- past:<id>           list    executions that the row does not tell of any more; expires with it
-- <STATE>:<type>      zset    ids: active ones by wake_at, ended ones by their end (trimmed and expiring with the rows)
-- tenant:<type>\t<tenant>   zset  ids of active jobs by lease_until; 0 for those that don't run
-- about:<type>\t<subject>   zset  ids of jobs: +inf for the active one, else when the row expires
-- types               set     of the jobs there were
-- letter:<id>         hash    head, body, told; a job's expires with its row
-- letters, untold     zset    ids of letters by creation
-- passing             zset    ids of jobs' letters by when they expire
-- outbox:<sink>       zset    ids of events that the sink has yet to be sent, in the order of their writing
-- parked:<sink>       zset    those of them that are parked, and no longer in outbox:<sink>; by the same numbers
-- holds:<sink>        hash    id -> tries, when it may go again (nothing: parked), error; by tabs
-- behind:<sink>       hash    job -> its parked event, which its later ones wait for
-- events:<sink>       hash    id -> the event
-- turn                number  of the latest event
-- sinks               set     of the sinks that events were written for
-- lead:<sink>         string  who sends to it; expires
--
-- A server whose memory is full refuses a script at its first write, if that writes; one that begins with a removal is
-- let through: jobs can end, new ones can't come.
local base = KEYS[1]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local micros = time[1] * 1000000 + time[2]
local ACTIVE = { QUEUED = true, RUNNING = true, RETRY_WAIT = true }
local STEP = 1000 -- values per command, entries per clearing up

local function text(number)
  return string.format('%.17g', number)
end

-- A row's version grows with every write, also when the clock is set back.
local function after(version)
  return string.format('%.0f', math.max(micros, version + 1))
end

-- By the ends of lines; without patterns, which look at every letter.
local find, sub = string.find, string.sub
local function lines(given)
  local found, n, from = {}, 0, 1
  local to = find(given, '\n', from, true)
  while to do
    n = n + 1
    found[n] = sub(given, from, to - 1)
    from = to + 1
    to = find(given, '\n', from, true)
  end
  return found
end

-- The job that an event is of, as its JSON spells it. Only cut out: cjson refuses what Python writes of half a surrogate pair, and
-- one such event would stop a sink for all jobs. What stands before it (id, type, time) can't look like it: quotes are escaped.
local function job_of(event)
  local _, before = find(event, '"job_id":"', 1, true)
  local at = find(event, '["\\]', before + 1)
  while sub(event, at, at) ~= '"' do
    at = find(event, '["\\]', at + 2)
  end
  return sub(event, before + 1, at - 1)
end

local function keys_of(ids)
  local keys, beginning = {}, base .. 'job:'
  for i = 1, #ids do
    keys[i] = beginning .. ids[i]
  end
  return keys
end

local function rows_of(ids)
  local keys = keys_of(ids)
  if #keys <= STEP then
    return redis.call('MGET', unpack(keys)), keys
  end
  local rows, n = {}, 0
  for i = 1, #keys, STEP do
    for _, row in ipairs(redis.call('MGET', unpack(keys, i, math.min(i + STEP - 1, #keys)))) do
      n = n + 1
      rows[n] = row
    end
  end
  return rows, keys
end

local function spread(command, key, values)
  for i = 1, #values, STEP do
    redis.call(command, key, unpack(values, i, math.min(i + STEP - 1, #values)))
  end
end

local function allow_full()
  redis.call('DEL', base .. 'nothing')
end

local function type_of(group)
  return string.match(group, '^[^\t]*')
end

local function about(group, subject)
  return base .. 'about:' .. type_of(group) .. '\t' .. subject
end

-- The job that is active about this; nothing when there is none.
local function active(group, subject)
  local key = about(group, subject)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '+inf', '+inf')) do
    if redis.call('EXISTS', base .. 'job:' .. id) == 1 then
      return id
    end
    redis.call('ZREM', key, id)
  end
end

local function engage(group, subject, id)
  local key = about(group, subject)
  redis.call('ZADD', key, '+inf', id)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
  redis.call('PERSIST', key)
end

local function disengage(group, subject, id, keep)
  local key = about(group, subject)
  redis.call('ZADD', key, text(now + keep / 1000), id)
  redis.call('PEXPIRE', key, keep)
end

-- After jobs were added to an index of ended ones: those that have expired leave it.
local function trim(key, keep)
  local old = redis.call('ZCOUNT', key, '-inf', text(now - keep / 1000))
  if old > 0 then
    redis.call('ZREMRANGEBYRANK', key, 0, math.min(old, STEP) - 1)
  end
  redis.call('PEXPIRE', key, keep)
end
