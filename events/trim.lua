-- Drop the entries up to an n, but never the stream's last one (design rule 16).
-- KEYS[1] the stream   ARGV[1] the n up to which all may go
-- Answers how many went.
local tail = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #tail == 0 then
  return 0
end
local last = tonumber(string.match(tail[1][1], '^%d+'))
local keep = math.min(tonumber(ARGV[1]) + 1, last)
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', keep))
