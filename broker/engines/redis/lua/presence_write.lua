-- Change who is in a channel: enter a client or replace its entry ('put'), take one out ('drop'; one that is not there is no
-- error), or clear a part of the channel of what an ended lease left ('evict'; repeated from cursor 0 until 0 is answered; two
-- who do so at once do no harm).
--
-- An entry reads `lease \n length of the user \n user infos`, so that what it counts for can be taken back without decoding more.
--
-- KEYS  clients (hash: client -> entry), users (hash: user -> number of clients), leases (hash: lease -> number of clients),
--       channels of the lease (set)
-- ARGV  'put',   channel, lease, client, entry, user, seconds to keep the keys without another word
--       'drop',  channel, lease, client
--       'evict', channel, lease, cursor, about how many clients to look at
-- Answers the next cursor of 'evict'.
local clients, users, leases, channels = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local channel, lease = ARGV[2], ARGV[3]

local function decrease(key, field)
  if redis.call('HINCRBY', key, field, -1) <= 0 then
    redis.call('HDEL', key, field)
  end
end

local function lease_of(entry)
  return string.sub(entry, 1, string.find(entry, '\n', 1, true) - 1)
end

local function uncount(entry)
  local first = string.find(entry, '\n', 1, true)
  local second = string.find(entry, '\n', first + 1, true)
  local length = tonumber(string.sub(entry, first + 1, second - 1))
  decrease(users, string.sub(entry, second + 1, second + length))
  decrease(leases, lease_of(entry))
end

local function put(client, entry, user, kept_s)
  local known = redis.call('HGET', clients, client)
  local is_first = false
  if known ~= entry then
    redis.call('HSET', clients, client, entry)
    redis.call('HINCRBY', users, user, 1)
    is_first = redis.call('HINCRBY', leases, lease, 1) == 1
    if known then
      uncount(known)
    end
  end
  -- Every entry is written again within minutes, so it is enough to prolong the keys at a lease's first one and at repetitions.
  if is_first or known == entry then
    redis.call('SADD', channels, channel)
    for _, key in ipairs(KEYS) do
      redis.call('EXPIRE', key, kept_s)
    end
  end
end

local function drop(client)
  local known = redis.call('HGET', clients, client)
  if known then
    redis.call('HDEL', clients, client)
    uncount(known)
  end
  if redis.call('HEXISTS', leases, lease) == 0 then
    redis.call('SREM', channels, channel)
  end
end

local function evict(cursor, count)
  local scanned = redis.call('HSCAN', clients, cursor, 'COUNT', count)
  local entries = scanned[2]
  for i = 1, #entries, 2 do
    if lease_of(entries[i + 1]) == lease then
      redis.call('HDEL', clients, entries[i])
      uncount(entries[i + 1])
    end
  end
  if scanned[1] == '0' then
    redis.call('HDEL', leases, lease)
    redis.call('SREM', channels, channel)
  end
  return scanned[1]
end

local steps = {put = put, drop = drop, evict = evict}
return steps[ARGV[1]](unpack(ARGV, 4))
