-- Take or renew a node's lease, and tell who lives.
--
-- A lease that is over is never renewed: its node takes a new one. So whoever sees a lease end may clear up after it, without
-- asking whether it has come back meanwhile.
--
-- KEYS  leases (sorted set: lease -> Unix ms at which it ends), sweeper (string: the lease whose turn it is to clear up)
-- ARGV  lease, life in ms, '1' to take it or '0' to renew it, ms for which clearing up is claimed
-- Answers {held, {lease, ms left, ...}, {ended lease, ...}}: held is 0 when it was lost, and the second list is empty for all
-- but the node that is to clear up.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] == '0' then
  local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if not ends or tonumber(ends) <= now then
    return {0, {}, {}}
  end
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])

local living = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES')
for i = 2, #living, 2 do
  living[i] = tonumber(living[i]) - now
end

local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)
if #ended > 0 then
  local sweeper = redis.call('GET', KEYS[2])
  if sweeper and sweeper ~= ARGV[1] then
    ended = {}
  else
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
  end
end
return {1, living, ended}
