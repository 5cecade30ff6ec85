-- Keep a value of the second level of caches, unless its home was forgotten since its writer asked.
--
-- KEYS  the home's generation (string), the entry (hash: g, v)
-- ARGV  the generation that the writer was told, the value, its life in milliseconds
-- Answers 1 where it is kept, else 0.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[2], 'g', ARGV[1], 'v', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
