-- Keep a word about who is not let in, merged with what was said before. Moments are Unix seconds as text, or 'inf'.
--
-- KEYS  words (hash: subject -> `until since`), ends (sorted set: subject -> until), version (hash: life, number)
-- ARGV  subject, until, since ('0' where it means nothing), 'later' to keep the later moments, 'set' to replace them or
--       'forget' to take the word back, the moment before which ended words are forgotten, a name for a life that begins now
-- Answers {life, number, `until since` now in force ('' for none), 1 when something changed}. Each change has the next number.
local function later(one, other)
  if tonumber(other) > tonumber(one) then
    return other
  end
  return one
end

local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[5], 'LIMIT', 0, 10)
for _, subject in ipairs(over) do
  redis.call('ZREM', KEYS[2], subject)
  redis.call('HDEL', KEYS[1], subject)
end

redis.call('HSETNX', KEYS[3], 'life', ARGV[6])
local known = redis.call('HGET', KEYS[1], ARGV[1])
local word = ''
if ARGV[4] ~= 'forget' then
  local ends, since = ARGV[2], ARGV[3]
  if known and ARGV[4] == 'later' then
    local space = string.find(known, ' ', 1, true)
    ends = later(string.sub(known, 1, space - 1), ends)
    since = later(string.sub(known, space + 1), since)
  end
  word = ends .. ' ' .. since
  redis.call('HSET', KEYS[1], ARGV[1], word)
  redis.call('ZADD', KEYS[2], ends, ARGV[1])
elseif known then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end

local changed = 0
if word ~= (known or '') then
  changed = 1
  redis.call('HINCRBY', KEYS[3], 'number', 1)
end
local version = redis.call('HMGET', KEYS[3], 'life', 'number')
return {version[1], tonumber(version[2] or 0), word, changed}
