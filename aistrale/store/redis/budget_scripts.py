"""Budgets in Redis, as scripts: each takes all counters of an attempt at once, and all of it happens or nothing.

Lua counts in doubles, which are exact up to 2^53 only. An amount is therefore two whole numbers, written "h,l":
dollars, and what is below them in steps of 10^-12 dollars (0 to 10^12 - 1). Both stay exact up to 9 * 10^15 dollars.

A counter is a hash:
    start, step, length   its window; what belongs to an earlier one is dropped when a later one begins
    born                  a name given when the hash was made, so that a process sees when Redis has lost what it knew
    s, r                  settled "h,l" and reserved "h,l,n" (n: reservations under way)
    p:ID                  what process ID has reserved of r, "h,l,n"
    x:ID                  what a process that died had reserved, and which counts as spent, "h,l,step"
    k:STEP, due           of rolling windows: what was spent in a step, and when the oldest step is forgotten
    seeded, base          begun with the past; what was restored after a loss
    told, ta:N, ref       marks that were told, and when; when a refusal was told
"""

from __future__ import annotations

from typing import Final

from aistrale.store.redis.connection import Script

_MONEY: Final = """
local M = 1000000000000
local function num(x) return tonumber(x) or 0 end
local function add(ah, al, bh, bl)
  local l = al + bl
  local c = math.floor(l / M)
  return ah + bh + c, l - c * M
end
local function over(ah, al, bh, bl) return ah > bh or (ah == bh and al > bl) end
local function read(text)
  if not text then return 0, 0, 0 end
  local h, l, n = string.match(text, '^(-?%d+),(%d+),?(-?%d*)')
  return num(h), num(l), num(n)
end
local function write(h, l, n)
  if n then return string.format('%.0f,%.0f,%.0f', h, l, n) end
  return string.format('%.0f,%.0f', h, l)
end
local function open(key, start, step, length, born)
  local f = redis.call('HMGET', key, 'start', 'seeded')
  if f[1] and num(f[1]) >= num(start) then return num(f[1]) == num(start) end
  redis.call('DEL', key)
  redis.call('HSET', key, 'start', start, 'step', step, 'length', length, 'born', born)
  if f[2] then redis.call('HSET', key, 'seeded', '1') end
  return true
end
local function forget(key, now)
  local f = redis.call('HMGET', key, 'due', 'step', 'length', 's')
  if not f[1] or now < num(f[1]) then return end
  local step, length, due = num(f[2]), num(f[3]), nil
  local h, l = read(f[4])
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local bucket = string.match(all[i], '^k:(%d+)$')
    if bucket then
      local ends = (num(bucket) + 1) * step + length
      if ends <= now then
        local bh, bl = read(all[i + 1])
        h, l = add(h, l, -bh, -bl)
        redis.call('HDEL', key, all[i])
      elseif not due or ends < due then due = ends end
    end
  end
  redis.call('HSET', key, 's', write(h, l))
  if due then redis.call('HSET', key, 'due', string.format('%.17g', due)) else redis.call('HDEL', key, 'due') end
end
local function spend(key, bucket, h, l, now)
  if h == 0 and l == 0 then return end
  local f = redis.call('HMGET', key, 's', 'step', 'length', 'due', 'k:' .. bucket)
  local step, length = num(f[2]), num(f[3])
  if length > 0 then
    local ends = (num(bucket) + 1) * step + length
    if now and ends <= now then return end
    local bh, bl = read(f[5])
    bh, bl = add(bh, bl, h, l)
    redis.call('HSET', key, 'k:' .. bucket, write(bh, bl))
    if not f[4] or ends < num(f[4]) then redis.call('HSET', key, 'due', string.format('%.17g', ends)) end
  end
  local sh, sl = read(f[1])
  redis.call('HSET', key, 's', write(add(sh, sl, h, l)))
end
local function hold(key, id, h, l, n)
  local f = redis.call('HMGET', key, 'r', 'p:' .. id)
  local rh, rl, rn = read(f[1])
  local ph, pl, pn = read(f[2])
  rh, rl = add(rh, rl, h, l)
  ph, pl = add(ph, pl, h, l)
  rn, pn = rn + n, pn + n
  redis.call('HSET', key, 'r', write(rh, rl, rn))
  if pn == 0 and ph == 0 and pl == 0 then redis.call('HDEL', key, 'p:' .. id)
  else redis.call('HSET', key, 'p:' .. id, write(ph, pl, pn)) end
end
local function balance(out, key)
  local f = redis.call('HMGET', key, 's', 'r', 'born', 'start')
  out[#out + 1] = f[1] or '0,0'
  out[#out + 1] = f[2] or '0,0,0'
  out[#out + 1] = f[3] or ''
  out[#out + 1] = f[4] or ''
end
"""

# What the reservations of a process become when it has not been heard of for too long: spent, since that is what they
# may have been. It takes them back if it is heard of again.
REAP: Final = (
    _MONEY
    + """
local function reap(id, slots, now)
  for _, key in ipairs(redis.call('SMEMBERS', slots)) do
    local f = redis.call('HMGET', key, 'p:' .. id, 'step', 'length')
    if f[1] then
      local h, l, n = read(f[1])
      hold(key, id, -h, -l, -n)
      local bucket = 0
      if num(f[3]) > 0 then bucket = math.floor(now / num(f[2])) end
      spend(key, string.format('%.0f', bucket), h, l)
      redis.call('HSET', key, 'x:' .. id, write(h, l, bucket))
    end
  end
end
"""
)

# KEYS: processes, this one's slots, then counters. ARGV: id, epoch, now, born, "1" to add to a reservation; for each
# counter start, step, length, seconds to live, "1" for hard, limit, amount, and what the reservation has already.
RESERVE: Final = Script(
    _MONEY
    + """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'stale'} end
local id, now, grows = ARGV[1], num(ARGV[3]), ARGV[5] == '1'
local function room_at(key, sh, sl, ah, al, lh, ll)
  local f = redis.call('HMGET', key, 'step', 'length')
  if num(f[2]) == 0 or over(ah, al, lh, ll) then return '' end
  local all, buckets = redis.call('HGETALL', key), {}
  for i = 1, #all, 2 do
    local bucket = string.match(all[i], '^k:(%d+)$')
    if bucket then buckets[#buckets + 1] = {num(bucket), all[i + 1]} end
  end
  table.sort(buckets, function(a, b) return a[1] < b[1] end)
  for _, each in ipairs(buckets) do
    local bh, bl = read(each[2])
    sh, sl = add(sh, sl, -bh, -bl)
    local th, tl = add(sh, sl, ah, al)
    if not over(th, tl, lh, ll) then return string.format('%.17g', (each[1] + 1) * num(f[1]) + num(f[2])) end
  end
  return ''
end
local function short(at, passing, resets)
  local out = {'short', at - 1, passing, resets}
  balance(out, KEYS[at + 2])
  return out
end
local blocked = nil
for i = 1, #KEYS - 2 do
  local key, a = KEYS[i + 2], 5 + (i - 1) * 8
  open(key, ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[4])
  forget(key, now)
  if ARGV[a + 5] == '1' then
    local f = redis.call('HMGET', key, 's', 'r')
    local sh, sl = read(f[1])
    local rh, rl, rn = read(f[2])
    local lh, ll = read(ARGV[a + 6])
    local ah, al = read(ARGV[a + 7])
    local th, tl = add(sh, sl, ah, al)
    local uh, ul = add(th, tl, rh, rl)
    if grows then
      if over(uh, ul, lh, ll) then
        local hh, hl = read(ARGV[a + 8])
        hh, hl = add(th, tl, hh, hl)
        if over(hh, hl, lh, ll) then return short(i, 0, room_at(key, sh, sl, ah, al, lh, ll)) end
        return short(i, 1, '')
      end
    elseif over(th, tl, lh, ll) then return short(i, 0, room_at(key, sh, sl, ah, al, lh, ll))
    elseif not blocked and rn > 0 and over(uh, ul, lh, ll) then blocked = i end
  end
end
if blocked then return short(blocked, 1, '') end
local out = {'held'}
for i = 1, #KEYS - 2 do
  local key, a = KEYS[i + 2], 5 + (i - 1) * 8
  local ah, al = read(ARGV[a + 7])
  hold(key, id, ah, al, grows and 0 or 1)
  redis.call('EXPIRE', key, ARGV[a + 4])
  balance(out, key)
end
redis.call('SADD', KEYS[2], unpack(KEYS, 3))
redis.call('EXPIRE', KEYS[2], 172800)
return out
"""
)

# KEYS: processes, the process's last batch, counters. ARGV: id, epoch, number of the batch, now, born; for each counter
# start, step, length, seconds to live, step of the spending, given back, spent, number of marks, marks.
SETTLE: Final = Script(
    _MONEY
    + """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'stale'} end
local id, now, cursor = ARGV[1], num(ARGV[4]), 5
local new = num(redis.call('GET', KEYS[2])) < num(ARGV[3])
if new then redis.call('SET', KEYS[2], ARGV[3], 'EX', 172800) end
local out = {'settled'}
for i = 1, #KEYS - 2 do
  local key, a = KEYS[i + 2], cursor
  local marks = num(ARGV[a + 8])
  cursor = a + 8 + marks
  local passed = ''
  if open(key, ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[5]) and new then
    forget(key, now)
    local rh, rl, rn = read(ARGV[a + 6])
    if rh > 0 or rl > 0 or rn > 0 then hold(key, id, -rh, -rl, -rn) end
    local f = redis.call('HMGET', key, 's', 'told')
    local sh, sl = read(f[1])
    local told = math.min(num(f[2]), marks)
    while told > 0 do
      local mh, ml = read(ARGV[a + 8 + told])
      if not over(mh, ml, sh, sl) then break end
      told = told - 1
    end
    local ah, al = read(ARGV[a + 7])
    spend(key, ARGV[a + 5], ah, al, now)
    sh, sl = read(redis.call('HGET', key, 's'))
    while told < marks do
      local mh, ml = read(ARGV[a + 8 + told + 1])
      if over(mh, ml, sh, sl) then break end
      told = told + 1
      local last = redis.call('HGET', key, 'ta:' .. told)
      if not last or now - num(last) >= num(ARGV[a + 3]) then
        redis.call('HSET', key, 'ta:' .. told, ARGV[4])
        passed = passed .. told .. ' '
      end
    end
    redis.call('HSET', key, 'told', told)
    redis.call('EXPIRE', key, ARGV[a + 4])
  end
  balance(out, key)
  out[#out + 1] = passed
end
return out
"""
)

# KEYS: processes, this one's slots, counters. ARGV: id, epoch, now, born; for each counter start, step, length, seconds
# to live, and all that the process has reserved in it.
REJOIN: Final = Script(
    _MONEY
    + """
local id, now = ARGV[1], num(ARGV[3])
redis.call('HSET', KEYS[1], id, ARGV[2])
for _, key in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local f = redis.call('HMGET', key, 'p:' .. id, 'x:' .. id)
  if f[1] then
    local h, l, n = read(f[1])
    hold(key, id, -h, -l, -n)
  end
  if f[2] then
    local h, l, bucket = read(f[2])
    local g = redis.call('HMGET', key, 's', 'length', 'k:' .. string.format('%.0f', bucket))
    local known = num(g[2]) == 0 or g[3]
    if known then
      local sh, sl = read(g[1])
      redis.call('HSET', key, 's', write(add(sh, sl, -h, -l)))
      if g[3] then
        local bh, bl = read(g[3])
        redis.call('HSET', key, 'k:' .. string.format('%.0f', bucket), write(add(bh, bl, -h, -l)))
      end
    end
    redis.call('HDEL', key, 'x:' .. id)
  end
end
redis.call('DEL', KEYS[2])
for i = 1, #KEYS - 2 do
  local key, a = KEYS[i + 2], 4 + (i - 1) * 5
  if open(key, ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[4]) then
    hold(key, id, read(ARGV[a + 5]))
    redis.call('SADD', KEYS[2], key)
    redis.call('EXPIRE', key, ARGV[a + 4])
  end
end
redis.call('EXPIRE', KEYS[2], 172800)
return {'joined'}
"""
)

# KEYS: counters. ARGV: born; for each counter start, step, length, seconds to live, step of now, name at birth as was
# known, and what was spent as it was known. Of several that remember, the one who remembers most is right.
RESTORE: Final = Script(
    _MONEY
    + """
local out = {'restored'}
for i = 1, #KEYS do
  local key, a = KEYS[i], 1 + (i - 1) * 7
  if open(key, ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[1]) then
    local f = redis.call('HMGET', key, 'born', 'base')
    local bh, bl = read(f[2])
    local th, tl = read(ARGV[a + 7])
    if f[1] ~= ARGV[a + 6] and over(th, tl, bh, bl) then
      local dh, dl = add(th, tl, -bh, -bl)
      spend(key, ARGV[a + 5], dh, dl)
      redis.call('HSET', key, 'base', write(th, tl), 'seeded', '1')
    end
    redis.call('EXPIRE', key, ARGV[a + 4])
  end
  balance(out, key)
end
return out
"""
)

# KEYS: one counter. ARGV: start, step, length, seconds to live, born, number of marks, marks, then steps and amounts.
SEED: Final = Script(
    _MONEY
    + """
local key, marks = KEYS[1], num(ARGV[6])
if open(key, ARGV[1], ARGV[2], ARGV[3], ARGV[5]) and redis.call('HSETNX', key, 'seeded', '1') == 1 then
  for i = 7 + marks, #ARGV, 2 do
    local h, l = read(ARGV[i + 1])
    spend(key, ARGV[i], h, l)
  end
  local f = redis.call('HMGET', key, 's', 'told')
  local sh, sl = read(f[1])
  local told = num(f[2])
  while told < marks do
    local mh, ml = read(ARGV[6 + told + 1])
    if over(mh, ml, sh, sl) then break end
    told = told + 1
  end
  redis.call('HSET', key, 'told', told)
end
redis.call('EXPIRE', key, ARGV[4])
local out = {'seeded'}
balance(out, key)
return out
"""
)

# KEYS: counters. ARGV: now; for each counter its start. Changes nothing but what is to be forgotten.
LOOK: Final = Script(
    _MONEY
    + """
local out = {'stands'}
for i = 1, #KEYS do
  local start = redis.call('HGET', KEYS[i], 'start')
  if start and num(start) >= num(ARGV[i + 1]) then
    forget(KEYS[i], num(ARGV[1]))
    balance(out, KEYS[i])
  else
    out[#out + 1] = '0,0'
    out[#out + 1] = '0,0,0'
    out[#out + 1] = ''
    out[#out + 1] = ''
  end
end
return out
"""
)

# KEYS: one counter. ARGV: start, step, length, seconds to live, born, now. Whether it is for this process to tell.
REFUSE: Final = Script(
    _MONEY
    + """
local key = KEYS[1]
if not open(key, ARGV[1], ARGV[2], ARGV[3], ARGV[5]) then return {0} end
local last = redis.call('HGET', key, 'ref')
redis.call('EXPIRE', key, ARGV[4])
if last and (num(ARGV[3]) == 0 or num(ARGV[6]) - num(last) < num(ARGV[3])) then return {0} end
redis.call('HSET', key, 'ref', ARGV[6])
local out = {1}
balance(out, key)
return out
"""
)
