-- Book the next moment at which one more call may leave, so that no window holds more than so many (events.budget).
-- KEYS[1] the budget: the moments booked last, the newest first, in microseconds of the server's clock
-- ARGV[1] calls in a window   ARGV[2] the window in microseconds   ARGV[3] the farthest that a booking can lie ahead
-- ARGV[4] the caller's booking before this one, 0 for none   ARGV[5] how much later than that its call left
-- Answers the wait until then in microseconds, and the moment itself.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local calls, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local booked = redis.call('LRANGE', KEYS[1], 0, -1)
for place, moment in ipairs(booked) do
  if moment == ARGV[4] then  -- the window counts from when the call left
    booked[place] = string.format('%.0f', tonumber(moment) + tonumber(ARGV[5]))
    redis.call('LSET', KEYS[1], place - 1, booked[place])
  end
end
local newest = tonumber(booked[1] or 0)
local before = tonumber(booked[calls] or 0)
if newest > now + tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])  -- the server's clock was set back
  newest, before = 0, 0
end
local at = math.max(now, newest, before > 0 and before + window or 0)
local moment = string.format('%.0f', at)
redis.call('LPUSH', KEYS[1], moment)
redis.call('LTRIM', KEYS[1], 0, calls - 1)
redis.call('PEXPIRE', KEYS[1], math.ceil((at - now + window) / 1000))
return {at - now, moment}
