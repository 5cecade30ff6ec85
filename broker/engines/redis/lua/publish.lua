-- Append to a stream and deliver, both or neither.
-- KEYS: meta, list, answer of the idempotency key (absent without one)
-- ARGV: 1 verb to publish with, 2 topic, 3 fresh epoch, 4 body, 5 time in ms, 6 size, 7 ttl in ms, 8 ttl of the meta in ms,
--       9 version in 20 digits, 10 version epoch, 11 ttl of the answer in ms
-- The topic lies in the slot of the keys; it is none of them, lest a cluster that moves the slot wait for it to arrive.
-- Returns {offset, epoch, 1 if nothing was published}

local answer = recall(KEYS[3])
if answer then
  return answer
end

local stream = use(KEYS[1], KEYS[2], ARGV[3])
local version, version_epoch = ARGV[9], ARGV[10]
-- Digits of one length compare as numbers do, also where a number would be too large to be exact here.
local is_superseded = version ~= NO_VERSION and version <= stream.version
  and (version_epoch == '' or version_epoch == stream.version_epoch)

if is_superseded then
  prolong(KEYS[1], stream, ARGV[8])
else
  stream.top = stream.top + 1
  stream.version, stream.version_epoch = version, version_epoch
  save(KEYS[1], stream, ARGV[8])
  if redis.call('RPUSH', KEYS[2], ARGV[4]) > tonumber(ARGV[6]) then
    redis.call('LTRIM', KEYS[2], -tonumber(ARGV[6]), -1)
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
  redis.call(ARGV[1], ARGV[2], 'P' .. struct.pack('>I8c8I8', stream.top, stream.epoch, tonumber(ARGV[5])) .. ARGV[4])
end
remember(KEYS[3], stream.top, stream.epoch, ARGV[11])
return {stream.top, stream.epoch, is_superseded and 1 or 0}
