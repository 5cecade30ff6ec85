-- Read a part of a stream, or begin one; its position is prolonged.
-- KEYS: meta, list
-- ARGV: 1 fresh epoch, 2 ttl of the meta in ms, 3 offset to read from ('' for an end of the list), 4 its epoch ('' for any),
--       5 limit (0 only the top, negative none), 6 '1' for reverse
-- Returns {1 if the epoch is another, top, epoch, offset of the first entry, entries from old to new}

local stream = use(KEYS[1], KEYS[2], ARGV[1])
prolong(KEYS[1], stream, ARGV[2])
local since, limit = tonumber(ARGV[3]), tonumber(ARGV[5])

if since and ARGV[4] ~= '' and ARGV[4] ~= stream.epoch then
  return {1, stream.top, stream.epoch, 0, {}}
end
if limit == 0 then
  return {0, stream.top, stream.epoch, 0, {}}
end

local count = redis.call('LLEN', KEYS[2])
local before = stream.top - count -- the offset just before the oldest kept
local start, stop
if ARGV[6] == '1' then
  stop = since and since - 1 - before or count
  start = limit < 0 and 0 or math.max(0, stop - limit)
  if stop > count then
    stop = 0 -- the one just before `since` never was
  end
else
  start = since and math.min(math.max(0, since - before), count) or 0
  stop = limit < 0 and count or math.min(count, start + limit)
end
if start >= stop then
  return {0, stream.top, stream.epoch, 0, {}}
end
return {0, stream.top, stream.epoch, before + start + 1, redis.call('LRANGE', KEYS[2], start, stop - 1)}
