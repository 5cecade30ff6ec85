-- Tell who lives.
--
-- KEYS  leases (sorted set: lease -> Unix ms at which it ends)
-- Answers {lease, ms left, ...}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local living = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES')
for i = 2, #living, 2 do
  living[i] = tonumber(living[i]) - now
end
return living
