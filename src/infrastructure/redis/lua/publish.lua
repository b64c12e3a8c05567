-- token, (key, body, attributes, delay, priority)*: add, or bring forward the waiting message of the same key.
local token = ARGV[1]

local function keep(id, mark, at, priority, key, attributes, body)
  local head = string.format('%s%.0f:%d:%d:%d:', mark, at, priority, #key, #attributes)
  redis.call('HSET', messages, id, head .. key .. attributes .. body)
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

for i = 2, #ARGV, 5 do
  local key, body, attributes = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local at, priority = now + tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local id = redis.call('HGET', keys, key)
  local since = id and waiting(id)
  local record = since and redis.call('HGET', messages, id)
  if record then
    local enqueued, before = header(record)
    priority, at = math.min(priority, before), math.min(at, since)
    keep(id, '', enqueued, priority, key, attributes, body)
    local count = redis.call('HGET', claims, id)
    if count and string.sub(count, 1, 1) ~= '-' then
      redis.call('HSET', claims, id, '-' .. count) -- a late acknowledgement is not for this body
    end
  else
    id = string.format('%012.0f-', redis.call('INCR', seq)) .. token
    keep(id, '', now, priority, key, attributes, body)
    redis.call('HSET', keys, key, id)
  end
  place(id, priority, at, record)
end
return 0
