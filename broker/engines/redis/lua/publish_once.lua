-- Deliver without a stream, unless the idempotency key was seen.
-- KEYS: answer of the idempotency key
-- ARGV: 1 verb to publish with, 2 topic, in the slot of the key, 3 message, 4 ttl of the answer in ms
-- Returns {offset, epoch, 1 if nothing was published}; of a key that was first used with a stream, what it got there

local answer = recall(KEYS[1])
if answer then
  return answer
end
redis.call(ARGV[1], ARGV[2], ARGV[3])
remember(KEYS[1], 0, string.rep('\0', 8), ARGV[4])
return {0, '', 0}
