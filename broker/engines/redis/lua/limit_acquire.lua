-- Spend from allowances by the generic cell rate algorithm (ITU-T I.371, annex A), from each or from none: for each one moment
-- is kept, when it would be whole again. Times are microseconds of the server's clock.
--
-- KEYS  one for each allowance (string: Unix us)
-- ARGV  for each: rate per second, burst, cost
-- Answers for each after how many us it can be granted; where it can be now, the negative number of us after which it would be
-- whole again. Only when all are negative they were spent. As text, since a Lua number would lose its fraction.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local known = redis.call('MGET', unpack(KEYS))
local wholes, told = {}, {}
local granted = true
for index = 1, #KEYS do
  local rate, burst, cost = ARGV[3 * index - 2], ARGV[3 * index - 1], ARGV[3 * index]
  local each = 1000000 / rate
  local whole = tonumber(known[index] or now)
  if whole < now then
    whole = now
  end
  whole = whole + cost * each
  local wait = whole - burst * each - now
  wholes[index] = whole
  -- The clock counts whole microseconds: sums of fractions must not refuse what was promised for just this moment.
  if wait > 1 then
    told[index] = string.format('%.17g', wait)
    granted = false
  else
    told[index] = string.format('%.17g', now - whole)
  end
end
if granted then
  for index, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.17g', wholes[index]), 'PX', math.ceil((wholes[index] - now) / 1000) + 1)
  end
end
return told
