"""The ledger's changes, each whole or not at all: Lua that Redis runs.

The names of keys are made in the scripts: a check belongs to sweeps that only Redis knows. So this
needs one Redis, or one with replicas; no cluster.
"""

from driftfleet.ledger import keys
from driftfleet.ledger.records import CLOSED_SECONDS, COST_SECONDS, MOST_RECENT, OPEN_SECONDS

_COMMON = f"""
local OPEN, ABOUT, LATER, RECENT, COST = \
  '{keys.OPEN}', '{keys.ABOUT}', '{keys.LATER}', '{keys.RECENT}', '{keys.COST}'
local WANT, JOINED, RUN, TRIES, LOST, CAP, PARKED, SWEEP = '{keys.WANT}', '{keys.JOINED}', \
  '{keys.RUN}', '{keys.TRIES}', '{keys.LOST}', '{keys.CAP}', '{keys.PARKED}', '{keys.SWEEP}'
local LONG, COST_SECONDS = {OPEN_SECONDS}, {COST_SECONDS}

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function wanted(target)
  -- "IDENTITY SWEEP": what waits or runs for a target, and who asked first.
  local value = redis.call('GET', WANT .. target)
  if not value then return nil, nil end
  return value:match('^(%S+) (%S+)$')
end

local function want(target, identity, sweep)
  redis.call('SET', WANT .. target, identity .. ' ' .. sweep, 'EX', LONG)
end

local function settle(sweep, identity, answer, done)
  -- Whether the sweep has waited for it; sweeps that wait for nothing more are added to done.
  local pending = SWEEP .. sweep .. ':pending'
  redis.call('HDEL', SWEEP .. sweep .. ':running', identity)
  if redis.call('SREM', pending, identity) == 0 then return 0 end
  redis.call('RPUSH', SWEEP .. sweep .. ':answered', answer)
  redis.call('EXPIRE', SWEEP .. sweep .. ':answered', LONG)
  if redis.call('EXISTS', pending) == 0 and redis.call('ZSCORE', OPEN, sweep) then
    done[#done + 1] = sweep
  end
  return 1
end

local function waiting_sweeps(identity, first)
  local sweeps = redis.call('SMEMBERS', JOINED .. identity)
  redis.call('DEL', JOINED .. identity)
  local known = false
  for _, sweep in ipairs(sweeps) do known = known or sweep == first end
  if not known then table.insert(sweeps, 1, first) end
  return sweeps
end

local function later(job, due)
  redis.call('ZADD', LATER, due, job)
  redis.call('EXPIRE', LATER, LONG)
end

local function leave_caps(token, caps)
  for _, cap in ipairs(caps) do
    if redis.call('ZREM', CAP .. cap, token) == 1 then
      local job = redis.call('LPOP', PARKED .. cap)
      if job then later(job, 0) end
    end
  end
end
"""

# ARGV: sweep, urgent, then target and identity of each -> {send of each}, done
OPEN_SWEEP = (
    _COMMON
    + """
local sweep, urgent = ARGV[1], ARGV[2] == '1'
local pending, send, done = SWEEP .. sweep .. ':pending', {}, {}
for n = 3, #ARGV, 2 do
  local target, identity = ARGV[n], ARGV[n + 1]
  redis.call('SADD', pending, identity)
  local held, asker = wanted(target)
  local runs = redis.call('EXISTS', RUN .. identity) == 1
  if held == identity or runs then
    if asker ~= sweep or held ~= identity then
      redis.call('SADD', JOINED .. identity, sweep)
      redis.call('EXPIRE', JOINED .. identity, LONG)
    end
    send[#send + 1] = (urgent and not runs) and 1 or 0
  else
    if held and redis.call('EXISTS', RUN .. held) == 0 then
      local answer = cjson.encode({check = held, superseded_by = sweep})
      for _, other in ipairs(waiting_sweeps(held, asker)) do settle(other, held, answer, done) end
      redis.call('DEL', TRIES .. held)
    end
    want(target, identity, sweep)
    send[#send + 1] = 1
  end
end
redis.call('EXPIRE', pending, LONG)
return {send, done}
"""
)

# ARGV: sweep, deadline, about -> whether nothing is pending
SEAL_SWEEP = (
    _COMMON
    + """
redis.call('ZADD', OPEN, ARGV[2], ARGV[1])
redis.call('EXPIRE', OPEN, LONG)
redis.call('HSET', ABOUT, ARGV[1], ARGV[3])
redis.call('EXPIRE', ABOUT, LONG)
return redis.call('EXISTS', SWEEP .. ARGV[1] .. ':pending') == 0 and 1 or 0
"""
)

# ARGV: sweep, then target and identity of what it no longer waits for
CLOSE_SWEEP = (
    _COMMON
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
    _COMMON
    + """
local target, identity, sweep, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local lease_ms, over, job = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local holder = redis.call('GET', RUN .. identity)
if holder and holder ~= token and holder ~= over then
  return {'held', holder, redis.call('PTTL', RUN .. identity)}
end
if wanted(target) ~= identity
   and redis.call('SISMEMBER', SWEEP .. sweep .. ':pending', identity) == 0 then
  return {'unwanted'}
end
local now = now_ms()
for n = 8, #ARGV, 2 do
  local key = CAP .. ARGV[n]
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  if over ~= '' then redis.call('ZREM', key, over) end
  if redis.call('ZCARD', key) >= tonumber(ARGV[n + 1]) and not redis.call('ZSCORE', key, token) then
    if holder == over then redis.call('DEL', RUN .. identity) end
    redis.call('RPUSH', PARKED .. ARGV[n], job)
    redis.call('EXPIRE', PARKED .. ARGV[n], LONG)
    return {'full', ARGV[n]}
  end
end
for n = 8, #ARGV, 2 do
  redis.call('ZADD', CAP .. ARGV[n], now + lease_ms, token)
  redis.call('EXPIRE', CAP .. ARGV[n], LONG)
end
redis.call('SET', RUN .. identity, token, 'PX', lease_ms)
local tries = redis.call('INCR', TRIES .. identity)
redis.call('EXPIRE', TRIES .. identity, LONG)
return {'start', tries, tostring(now), redis.call('HGET', COST, target) or ''}
"""
)

# ARGV: identity, token, lease ms, caps... -> whether the lease is held
RENEW_LEASE = (
    _COMMON
    + """
local holder = redis.call('GET', RUN .. ARGV[1])
if holder and holder ~= ARGV[2] then return 0 end
-- Gone, where Redis was restarted without its memory: nobody else has it, so it is ours still.
redis.call('SET', RUN .. ARGV[1], ARGV[2], 'PX', ARGV[3])
local ends = now_ms() + tonumber(ARGV[3])
for n = 4, #ARGV do redis.call('ZADD', CAP .. ARGV[n], 'XX', ends, ARGV[2]) end
return 1
"""
)

# ARGV: identity, token, sweep, innocent, caps...
RELEASE_LEASE = (
    _COMMON
    + """
local caps = {unpack(ARGV, 5)}
leave_caps(ARGV[2], caps)
redis.call('HDEL', SWEEP .. ARGV[3] .. ':running', ARGV[1])
if redis.call('GET', RUN .. ARGV[1]) == ARGV[2] then
  redis.call('DEL', RUN .. ARGV[1])
  if ARGV[4] == '1' then
    if redis.call('DECR', TRIES .. ARGV[1]) <= 0 then redis.call('DEL', TRIES .. ARGV[1]) end
  end
end
return 1
"""
)

# ARGV: job, milliseconds
PUT_OFF = _COMMON + "later(ARGV[1], now_ms() + tonumber(ARGV[2]))\nreturn 1\n"

# ARGV: how many at the most -> jobs
TAKE_DUE = (
    _COMMON
    + """
local jobs = redis.call('ZRANGEBYSCORE', LATER, '-inf', now_ms(), 'LIMIT', 0, ARGV[1])
if #jobs > 0 then redis.call('ZREM', LATER, unpack(jobs)) end
return jobs
"""
)

# ARGV: target, identity, own sweep, token, answer, recent, peak bytes, caps... -> {first, done...}
ANSWER_CHECK = (
    _COMMON
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
leave_caps(token, {{unpack(ARGV, 8)}})
redis.call('DEL', TRIES .. identity, LOST .. identity)
if ARGV[6] ~= '' and first == 1 then
  redis.call('LPUSH', RECENT, ARGV[6])
  redis.call('LTRIM', RECENT, 0, {MOST_RECENT - 1})
  redis.call('EXPIRE', RECENT, LONG)
end
if tonumber(ARGV[7]) > 0 then
  redis.call('HSET', COST, target, ARGV[7])
  redis.call('EXPIRE', COST, COST_SECONDS)
end
return {{first, unpack(done)}}
"""
)

# ARGV: cap, limit. For what the dead have left: who lives hands on by itself.
UNPARK = (
    _COMMON
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

# ARGV: sweep, target, identity -> whether to send it
PUT_BACK = (
    _COMMON
    + """
if redis.call('SISMEMBER', SWEEP .. ARGV[1] .. ':pending', ARGV[3]) == 0 then return 0 end
if redis.call('EXISTS', RUN .. ARGV[3]) == 1 then return 0 end
local held = wanted(ARGV[2])
if not held then want(ARGV[2], ARGV[3], ARGV[1]) end
return 1
"""
)
