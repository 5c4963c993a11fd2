-- Book the next moment at which one more call may leave, so that no window holds more than so many (events.budget).
-- KEYS[1] the budget: the moments booked last, the newest first, in microseconds of the server's clock
-- ARGV[1] calls in a window   ARGV[2] the window in microseconds   ARGV[3] the farthest that a booking can lie ahead
-- Answers the wait until then, in microseconds.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local calls, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local newest = tonumber(redis.call('LINDEX', KEYS[1], 0) or 0)
if newest > now + tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])  -- the server's clock was set back
  newest = 0
end
local before = tonumber(redis.call('LINDEX', KEYS[1], calls - 1) or 0)
local at = math.max(now, newest, before > 0 and before + window or 0)
redis.call('LPUSH', KEYS[1], string.format('%.0f', at))
redis.call('LTRIM', KEYS[1], 0, calls - 1)
redis.call('PEXPIRE', KEYS[1], math.ceil((at - now + window) / 1000))
return at - now
