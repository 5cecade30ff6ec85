-- Count who is in a channel, and tell by which leases. For the layout see presence_write.lua.
--
-- KEYS  clients, users, leases
-- Answers {number of clients, number of users, {lease, ...}}.
return {redis.call('HLEN', KEYS[1]), redis.call('HLEN', KEYS[2]), redis.call('HKEYS', KEYS[3])}
