-- Change who is connected where: note that a user is connected to a node ('put') or no longer ('drop'), or clear a part of the
-- users of what ended leases left ('evict'; repeated from cursor 0 until 0 is answered; two who do so at once do no harm).
--
-- A user's field holds the leases of those nodes, each followed by a space.
--
-- KEYS  users of a partition (hash: user -> leases)
-- ARGV  'put',   user, lease, seconds to keep the key without another word
--       'drop',  user, lease
--       'evict', cursor, about how many users to look at, lease, ...
-- Answers the next cursor of 'evict'.
local users = KEYS[1]

local function without(leases, lease)
  local first, last = string.find(leases, lease .. ' ', 1, true)
  if first then
    return string.sub(leases, 1, first - 1) .. string.sub(leases, last + 1)
  end
  return leases
end

local function replace(user, known, leases)
  if leases == '' then
    redis.call('HDEL', users, user)
  elseif leases ~= known then
    redis.call('HSET', users, user, leases)
  end
end

local function put(user, lease, kept_s)
  local known = redis.call('HGET', users, user) or ''
  replace(user, known, without(known, lease) .. lease .. ' ')
  redis.call('EXPIRE', users, kept_s)
end

local function drop(user, lease)
  local known = redis.call('HGET', users, user) or ''
  replace(user, known, without(known, lease))
end

local function evict(cursor, count, ...)
  local scanned = redis.call('HSCAN', users, cursor, 'COUNT', count)
  local entries = scanned[2]
  for i = 1, #entries, 2 do
    local leases = entries[i + 1]
    for _, lease in ipairs({...}) do
      leases = without(leases, lease)
    end
    replace(entries[i], entries[i + 1], leases)
  end
  return scanned[1]
end

local steps = {put = put, drop = drop, evict = evict}
return steps[ARGV[1]](unpack(ARGV, 2))
