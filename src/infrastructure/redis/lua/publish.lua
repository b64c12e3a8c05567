-- token, (key length, attributes length, body length, delay, priority)*, all keys, attributes and bodies in one text: add,
-- or bring forward the waiting message of the same key.
local token, given = ARGV[1], ARGV[3]

local function record(at, message)
  local head = string.format('%.0f:%d:%d:%d:', at, message.priority, #message.key, message.attributes)
  return head .. message.text
end

-- When the waiting message of this key is or was visible; nothing when there is none, or it is in flight.
local function waiting(id)
  local at = redis.call('ZSCORE', leases, id)
  if at then
    return tonumber(at) <= now and tonumber(at) or nil
  end
  at = redis.call('ZSCORE', delayed, id)
  if at then
    return tonumber(at)
  end
  at = redis.call('ZSCORE', ready, id)
  return at and (at % SPAN + EPOCH) * 1000 or nil
end

local messages_given, names, place_in_text = {}, {}, 1
for key, attributes, body, delay, priority in string.gmatch(ARGV[2], '(%d+) (%d+) (%d+) (%d+) (-?%d+)') do
  local after = place_in_text + key + attributes + body
  names[#names + 1] = string.sub(given, place_in_text, place_in_text + key - 1)
  messages_given[#names] = {
    key = names[#names],
    attributes = tonumber(attributes),
    text = string.sub(given, place_in_text, after - 1),
    at = now + delay,
    priority = tonumber(priority),
  }
  place_in_text = after
end

-- Most keys were never seen: their messages are added with one command each for all.
local known, seen = redis.call('HMGET', keys, unpack(names)), {}
local others, store, index, at_once, later = {}, {}, {}, {}, {}
local soonest = math.huge
local last = redis.call('INCRBY', seq, #names) - #names
for i, message in ipairs(messages_given) do
  message.id = string.format('%012.0f-', last + i) .. token
  if known[i] or seen[message.key] then
    others[#others + 1] = message
  else
    local n = #store
    store[n + 1], store[n + 2] = message.id, record(now, message)
    index[n + 1], index[n + 2] = message.key, message.id
    if message.at <= now then
      at_once[#at_once + 1] = score(message.priority, message.at)
      at_once[#at_once + 1] = message.id
    else
      soonest = math.min(soonest, message.at)
      later[#later + 1] = message.at
      later[#later + 1] = message.id
    end
  end
  seen[message.key] = true
end
if #store > 0 then
  redis.call('HSET', messages, unpack(store))
  redis.call('HSET', keys, unpack(index))
end
if #at_once > 0 then
  redis.call('ZADD', ready, unpack(at_once))
  wake()
end
if #later > 0 then
  redis.call('ZADD', delayed, unpack(later))
  if tonumber(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]) >= soonest then
    wake() -- somebody's wait was reckoned without it
  end
end

for _, message in ipairs(others) do
  local id = redis.call('HGET', keys, message.key)
  local since = id and waiting(id)
  local old = since and redis.call('HGET', messages, id)
  local enqueued, at = now, message.at
  if old then
    local before
    enqueued, before = header(old)
    message.priority, at = math.min(message.priority, before), math.min(at, since)
    redis.call('HSET', messages, id, record(enqueued, message))
    local count = redis.call('HGET', claims, id)
    if count and string.sub(count, 1, 1) ~= '-' then
      redis.call('HSET', claims, id, '-' .. count) -- a late acknowledgement is not for this body
    end
  else
    id = message.id
    redis.call('HSET', messages, id, record(now, message))
    redis.call('HSET', keys, message.key, id)
  end
  place(id, message.priority, at, old)
end
return 0
