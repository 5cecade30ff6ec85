-- Append to a stream and deliver, both or neither.
-- KEYS: meta, list, topic, answer of the idempotency key (absent without one)
-- ARGV: 1 verb to publish with, 2 fresh epoch, 3 body, 4 time in ms, 5 size, 6 ttl in ms, 7 ttl of the meta in ms,
--       8 version in 20 digits, 9 version epoch, 10 ttl of the answer in ms
-- Returns {offset, epoch, 1 if nothing was published}

local answer = recall(KEYS[4])
if answer then
  return answer
end

local stream = use(KEYS[1], KEYS[2], ARGV[2])
local version, version_epoch = ARGV[8], ARGV[9]
-- Digits of one length compare as numbers do, also where a number would be too large to be exact here.
local is_superseded = version ~= NO_VERSION and version <= stream.version
  and (version_epoch == '' or version_epoch == stream.version_epoch)

if is_superseded then
  prolong(KEYS[1], stream, ARGV[7])
else
  stream.top = stream.top + 1
  stream.version, stream.version_epoch = version, version_epoch
  save(KEYS[1], stream, ARGV[7])
  if redis.call('RPUSH', KEYS[2], ARGV[3]) > tonumber(ARGV[5]) then
    redis.call('LTRIM', KEYS[2], -tonumber(ARGV[5]), -1)
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
  redis.call(ARGV[1], KEYS[3], 'P' .. struct.pack('>I8c8I8', stream.top, stream.epoch, tonumber(ARGV[4])) .. ARGV[3])
end
remember(KEYS[4], stream.top, stream.epoch, ARGV[10])
return {stream.top, stream.epoch, is_superseded and 1 or 0}
