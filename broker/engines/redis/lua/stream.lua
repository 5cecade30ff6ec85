-- The stream of one channel, as functions for the scripts that use it.
--
-- Its publications are a list, oldest first, whose last entry stands at the stream's top; so an offset tells an index. Its meta is
-- one text: top (8 bytes), epoch (8), identity (40), version (20 digits), version epoch (the rest).
--
-- The identity is the server's replication id when the meta was written. Redis takes a new one whenever its data may have become
-- other data: at every start, and when a replica becomes a master. (A restart from an old snapshot and a failover bring old metas
-- with them; a server that was a replica for a while has got another server's.) Where it differs now, what was told of this stream
-- may be lost, so the stream takes a new epoch. What is kept stays readable under it. The id is asked for within the script: one
-- that was learnt before may be out of date by the time the script runs.

local META = '>I8c8c40c20'
local ANSWER = '>I8c8'
local NO_VERSION = '00000000000000000000'

local function identity()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or error('INFO tells no master_replid')
end

-- Find the stream, or begin one; is_changed where its meta has to be written even if nothing is added.
local function use(meta_key, list_key, fresh_epoch)
  local id = identity()
  local meta = redis.call('GET', meta_key)
  if not meta then
    redis.call('DEL', list_key)
    return {top = 0, epoch = fresh_epoch, id = id, version = NO_VERSION, version_epoch = '', is_changed = true}
  end
  local top, epoch, known_id, version, rest = struct.unpack(META, meta)
  local is_changed = known_id ~= id
  return {
    top = top,
    epoch = is_changed and fresh_epoch or epoch,
    id = id,
    version = version,
    version_epoch = string.sub(meta, rest),
    is_changed = is_changed,
  }
end

local function save(meta_key, stream, ttl_ms)
  local meta = struct.pack(META, stream.top, stream.epoch, stream.id, stream.version) .. stream.version_epoch
  redis.call('SET', meta_key, meta, 'PX', ttl_ms)
end

local function prolong(meta_key, stream, ttl_ms)
  if stream.is_changed then
    save(meta_key, stream, ttl_ms)
  else
    redis.call('PEXPIRE', meta_key, ttl_ms)
  end
end

-- What an idempotency key got before; nil where it is new, or where there is no key.
local function recall(answer_key)
  local answer = answer_key and redis.call('GET', answer_key)
  if answer then
    local offset, epoch = struct.unpack(ANSWER, answer)
    return {offset, epoch, 1}
  end
end

local function remember(answer_key, offset, epoch, ttl_ms)
  if answer_key then
    redis.call('SET', answer_key, struct.pack(ANSWER, offset, epoch), 'PX', ttl_ms)
  end
end
