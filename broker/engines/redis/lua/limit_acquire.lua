-- Spend from an allowance by the generic cell rate algorithm (ITU-T I.371, annex A): one moment is kept, when the allowance
-- would be whole again. Times are microseconds of the server's clock.
--
-- KEYS  whole (string: Unix us)
-- ARGV  rate per second, burst, cost
-- Answers after how many us it can be spent; when it was, the negative number of us after which the allowance is whole. As
-- text, since a Lua number would lose its fraction.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each = 1000000 / ARGV[1]
local whole = tonumber(redis.call('GET', KEYS[1]) or now)
if whole < now then
  whole = now
end
whole = whole + ARGV[3] * each
local wait = whole - ARGV[2] * each - now
-- The clock counts whole microseconds: sums of fractions must not refuse what was promised for just this moment.
if wait > 1 then
  return string.format('%.17g', wait)
end
redis.call('SET', KEYS[1], string.format('%.17g', whole), 'PX', math.ceil((whole - now) / 1000) + 1)
return string.format('%.17g', now - whole)
