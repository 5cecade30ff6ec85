-- Look for a value of the second level of caches: it counts while it was written under its home's present generation.
--
-- KEYS  the home's generation (string), the entry (hash: g, its generation; v, the value)
-- Answers the generation, the value or nil, and the milliseconds that it has left.
local generation = redis.call('GET', KEYS[1]) or ''
local kept = redis.call('HMGET', KEYS[2], 'g', 'v')
if kept[1] ~= generation then
  return {generation, false, 0}
end
return {generation, kept[2], redis.call('PTTL', KEYS[2])}
