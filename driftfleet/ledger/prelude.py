"""What the ledger's scripts share: names of keys, and steps that several of them take."""

from driftfleet.ledger import keys
from driftfleet.ledger.records import COST_SECONDS, OPEN_SECONDS

PRELUDE = f"""
local OPEN, ABOUT, LATER, RECENT, COST, WORKERS = '{keys.OPEN}', '{keys.ABOUT}', \
  '{keys.LATER}', '{keys.RECENT}', '{keys.COST}', '{keys.WORKERS}'
local WANT, JOINED, OUTDATED, RUN, TRIES, LOST, CAP, PARKED, SWEEP = '{keys.WANT}', \
  '{keys.JOINED}', '{keys.OUTDATED}', '{keys.RUN}', '{keys.TRIES}', '{keys.LOST}', '{keys.CAP}', \
  '{keys.PARKED}', '{keys.SWEEP}'
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

local function join(identity, sweep)
  redis.call('SADD', JOINED .. identity, sweep)
  redis.call('EXPIRE', JOINED .. identity, LONG)
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

local function supersede(identity, first, newer, done)
  -- What waits, in every sweep that waits for it.
  local answer = cjson.encode({{check = identity, superseded_by = newer}})
  for _, sweep in ipairs(waiting_sweeps(identity, first)) do
    settle(sweep, identity, answer, done)
  end
  redis.call('DEL', TRIES .. identity, LOST .. identity, OUTDATED .. identity)
end

local function asked_later(one, other)
  -- By the times in the names of sweeps (driftfleet.sweep_id), where both have one.
  local form = '^%l+%-(%d%d%d%d%d%d%d%dT%d%d%d%d%d%d)%-%x%x%x%x%x%x$'
  local ones, others = one:match(form), other:match(form)
  return ones and others and ones > others
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
