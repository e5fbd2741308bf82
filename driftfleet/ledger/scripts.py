"""The ledger's changes, each whole or not at all: Lua that Redis runs.

The names of keys are made in the scripts: a check belongs to sweeps that only Redis knows. So this
needs one Redis, or one with replicas; no cluster.
"""

from driftfleet.ledger.prelude import PRELUDE
from driftfleet.ledger.records import CLOSED_SECONDS, MOST_RECENT

# ARGV: sweep, urgent, whether it begins, then target and identity of each -> {send of each}, done
OPEN_SWEEP = (
    PRELUDE
    + """
local sweep, urgent = ARGV[1], ARGV[2] == '1'
local pending, send, done = SWEEP .. sweep .. ':pending', {}, {}
-- Gone, before all was asked for, where Redis has forgotten what was asked for first.
if ARGV[3] == '1' then redis.call('SET', SWEEP .. sweep .. ':opening', 1, 'EX', LONG) end
for n = 4, #ARGV, 2 do
  local target, identity = ARGV[n], ARGV[n + 1]
  redis.call('SADD', pending, identity)
  local held, asker = wanted(target)
  local runs = redis.call('EXISTS', RUN .. identity) == 1
  local sent = not runs
  if held == identity then
    if asker ~= sweep then join(identity, sweep) end
    sent = urgent and not runs
  elseif held and asked_later(asker, sweep) then
    sent = false
    if runs then
      join(identity, sweep)
      redis.call('SET', OUTDATED .. identity, asker, 'EX', LONG)
    else
      supersede(identity, sweep, asker, done)
    end
  else
    if held and redis.call('EXISTS', RUN .. held) == 1 then
      -- It may end, but not begin again: that would be after the newer one.
      join(held, asker)
      redis.call('SET', OUTDATED .. held, sweep, 'EX', LONG)
    elseif held then
      supersede(held, asker, sweep, done)
    end
    redis.call('DEL', OUTDATED .. identity)
    want(target, identity, sweep)
  end
  send[#send + 1] = sent and 1 or 0
end
redis.call('EXPIRE', pending, LONG)
return {send, done}
"""
)

# ARGV: sweep, deadline, about -> whether nothing is pending
SEAL_SWEEP = (
    PRELUDE
    + """
if redis.call('DEL', SWEEP .. ARGV[1] .. ':opening') == 0 then return 0 end
redis.call('ZADD', OPEN, ARGV[2], ARGV[1])
redis.call('EXPIRE', OPEN, LONG)
redis.call('HSET', ABOUT, ARGV[1], ARGV[3])
redis.call('EXPIRE', ABOUT, LONG)
return redis.call('EXISTS', SWEEP .. ARGV[1] .. ':pending') == 0 and 1 or 0
"""
)

# ARGV: sweep, then target and identity of what it no longer waits for
CLOSE_SWEEP = (
    PRELUDE
    + f"""
redis.call('ZREM', OPEN, ARGV[1])
redis.call('HDEL', ABOUT, ARGV[1])
for n = 2, #ARGV do redis.call('SREM', SWEEP .. ARGV[1] .. ':pending', ARGV[n]) end
for _, part in ipairs({{'pending', 'running', 'answered'}}) do
  redis.call('EXPIRE', SWEEP .. ARGV[1] .. ':' .. part, {CLOSED_SECONDS})
end
return 1
"""
)

# ARGV: target, identity, sweep, token, lease ms, token of a dead holder, job, then cap and limit
BEGIN_CHECK = (
    PRELUDE
    + """
local target, identity, sweep, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local lease_ms, over, job = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local now, run = now_ms(), RUN .. identity

local function has_room(n)
  local cap = CAP .. ARGV[n]
  redis.call('ZREMRANGEBYSCORE', cap, '-inf', now)
  if over ~= '' then redis.call('ZREM', cap, over) end
  return redis.call('ZCARD', cap) < tonumber(ARGV[n + 1])
end

local function hand_on(but)
  -- Whoever parked was let go on by one that ended: where it doesn't begin, another may.
  for n = 8, #ARGV, 2 do
    if n ~= but and has_room(n) then
      local parked = redis.call('LPOP', PARKED .. ARGV[n])
      if parked then later(parked, 0) end
    end
  end
end

local holder = redis.call('GET', run)
if holder and holder ~= token and holder ~= over then
  hand_on()
  return {'held', holder, redis.call('PTTL', run)}
end
local newer, done = redis.call('GET', OUTDATED .. identity), {}
if newer and holder ~= token then supersede(identity, sweep, newer, done) end
if wanted(target) ~= identity
   and redis.call('SISMEMBER', SWEEP .. sweep .. ':pending', identity) == 0 then
  if holder then redis.call('DEL', run) end
  hand_on()
  return {'unwanted', unpack(done)}
end
for n = 8, #ARGV, 2 do
  if not has_room(n) and not redis.call('ZSCORE', CAP .. ARGV[n], token) then
    if holder then redis.call('DEL', run) end
    redis.call('RPUSH', PARKED .. ARGV[n], job)
    redis.call('EXPIRE', PARKED .. ARGV[n], LONG)
    hand_on(n)
    return {'full', ARGV[n]}
  end
end
for n = 8, #ARGV, 2 do
  redis.call('ZADD', CAP .. ARGV[n], now + lease_ms, token)
  redis.call('EXPIRE', CAP .. ARGV[n], LONG)
end
redis.call('SET', run, token, 'PX', lease_ms)
-- Asked twice, where the first answer was lost on its way, it is one start.
if holder ~= token then redis.call('INCR', TRIES .. identity) end
redis.call('EXPIRE', TRIES .. identity, LONG)
local tries = redis.call('GET', TRIES .. identity) or 1
return {'start', tries, tostring(now), redis.call('GET', COST .. target) or ''}
"""
)

# ARGV: identity, token, lease ms, caps... -> whether the lease is held
RENEW_LEASE = (
    PRELUDE
    + """
local holder = redis.call('GET', RUN .. ARGV[1])
if holder and holder ~= ARGV[2] then return 0 end
-- Gone, where Redis was restarted without its memory: nobody else has it, so it is ours still.
redis.call('SET', RUN .. ARGV[1], ARGV[2], 'PX', ARGV[3])
local ends = now_ms() + tonumber(ARGV[3])
for n = 4, #ARGV do
  if holder then redis.call('ZADD', CAP .. ARGV[n], 'XX', ends, ARGV[2])
  else redis.call('ZADD', CAP .. ARGV[n], ends, ARGV[2]) end
  redis.call('EXPIRE', CAP .. ARGV[n], LONG)
end
return 1
"""
)

# ARGV: identity, token, sweep, innocent, caps...
RELEASE_LEASE = (
    PRELUDE
    + """
local caps = {unpack(ARGV, 5)}
leave_caps(ARGV[2], caps)
if redis.call('GET', RUN .. ARGV[1]) == ARGV[2] then
  redis.call('HDEL', SWEEP .. ARGV[3] .. ':running', ARGV[1])
  redis.call('DEL', RUN .. ARGV[1])
  if ARGV[4] == '1' then
    if redis.call('DECR', TRIES .. ARGV[1]) <= 0 then redis.call('DEL', TRIES .. ARGV[1]) end
  end
end
return 1
"""
)

# ARGV: job, milliseconds
PUT_OFF = PRELUDE + "later(ARGV[1], now_ms() + tonumber(ARGV[2]))\nreturn 1\n"

# ARGV: how many at the most -> jobs
TAKE_DUE = (
    PRELUDE
    + """
local jobs = redis.call('ZRANGEBYSCORE', LATER, '-inf', now_ms(), 'LIMIT', 0, ARGV[1])
if #jobs > 0 then redis.call('ZREM', LATER, unpack(jobs)) end
return jobs
"""
)

# ARGV: target, identity, own sweep, token, answer, recent, peak bytes, key, field and value of what
# is known of the root, caps... -> {first, done...}
ANSWER_CHECK = (
    PRELUDE
    + f"""
local target, identity, token = ARGV[1], ARGV[2], ARGV[4]
local done, first = {{}}, 0
local held, asker = wanted(target)
local sweeps = waiting_sweeps(identity, ARGV[3])
if held == identity then
  redis.call('DEL', WANT .. target)
  if asker ~= ARGV[3] then sweeps[#sweeps + 1] = asker end
end
for _, sweep in ipairs(sweeps) do
  if settle(sweep, identity, ARGV[5], done) == 1 then first = 1 end
end
if redis.call('GET', RUN .. identity) == token then redis.call('DEL', RUN .. identity) end
leave_caps(token, {{unpack(ARGV, 11)}})
redis.call('DEL', TRIES .. identity, LOST .. identity, OUTDATED .. identity)
if ARGV[6] ~= '' and first == 1 then
  redis.call('LPUSH', RECENT, ARGV[6])
  redis.call('LTRIM', RECENT, 0, {MOST_RECENT - 1})
  redis.call('EXPIRE', RECENT, LONG)
  redis.call('HSET', ARGV[8], ARGV[9], ARGV[10])
  redis.call('EXPIRE', ARGV[8], COST_SECONDS)
end
if tonumber(ARGV[7]) > 0 then
  redis.call('SET', COST .. target, ARGV[7], 'EX', COST_SECONDS)
end
return {{first, unpack(done)}}
"""
)

# ARGV: cap, limit. For what the dead have left: who lives hands on by itself.
UNPARK = (
    PRELUDE
    + """
redis.call('ZREMRANGEBYSCORE', CAP .. ARGV[1], '-inf', now_ms())
for _ = redis.call('ZCARD', CAP .. ARGV[1]) + 1, tonumber(ARGV[2]) do
  local job = redis.call('LPOP', PARKED .. ARGV[1])
  if not job then break end
  later(job, 0)
end
return 1
"""
)

# ARGV: sweep, target, identity -> how often it was put back; 0: it is not to be
PUT_BACK = (
    PRELUDE
    + """
if redis.call('SISMEMBER', SWEEP .. ARGV[1] .. ':pending', ARGV[3]) == 0 then return 0 end
if redis.call('EXISTS', RUN .. ARGV[3]) == 1 then return 0 end
local newer = redis.call('GET', OUTDATED .. ARGV[3])
if newer then
  supersede(ARGV[3], ARGV[1], newer, {})
  return 0
end
local held = wanted(ARGV[2])
if not held then want(ARGV[2], ARGV[3], ARGV[1]) end
local times = redis.call('INCR', LOST .. ARGV[3])
redis.call('EXPIRE', LOST .. ARGV[3], LONG)
return times
"""
)

# ARGV: name, what it says, its time, seconds after which one isn't seen any more
SAY = (
    PRELUDE
    + """
redis.call('HSET', WORKERS, ARGV[1], ARGV[2])
redis.call('EXPIRE', WORKERS, 2 * ARGV[4])
local all = redis.call('HGETALL', WORKERS)
for n = 1, #all, 2 do
  local read, said = pcall(cjson.decode, all[n + 1])
  local seen = read and type(said) == 'table' and tonumber(said.seen_at) or 0
  if ARGV[3] - seen > tonumber(ARGV[4]) then redis.call('HDEL', WORKERS, all[n]) end
end
return 1
"""
)
