-- Deliver without a stream, unless the idempotency key was seen.
-- KEYS: topic, answer of the idempotency key
-- ARGV: 1 verb to publish with, 2 message, 3 ttl of the answer in ms
-- Returns {offset, epoch, 1 if nothing was published}; of a key that was first used with a stream, what it got there

local answer = recall(KEYS[2])
if answer then
  return answer
end
redis.call(ARGV[1], KEYS[1], ARGV[2])
remember(KEYS[2], 0, string.rep('\0', 8), ARGV[3])
return {0, '', 0}
