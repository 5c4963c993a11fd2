-- Append a batch to one stream, comparing what is there already (design rules 2, 4 and 6).
-- KEYS[1] the stream   ARGV[1] archived   ARGV[2] n of the first entry   ARGV[3] checksum of entry n - 1, or ''
-- ARGV[4..] entries, dense
-- Answers {'ok', last}, {'gap', last} or {'differs', n}.
local archived, n = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = 0
local tail = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #tail > 0 then
  last = tonumber(string.match(tail[1][1], '^%d+'))
  if n == last + 1 and ARGV[3] ~= '' and ARGV[3] ~= string.sub(tail[1][2][2], 1, 4) then
    return {'differs', last}
  end
else
  redis.call('DEL', KEYS[1]) -- a stream that was emptied remembers its last id and would refuse to be filled again
end
for i = 4, #ARGV do
  local id = string.format('%.0f-0', n)
  if n <= last then
    local have = redis.call('XRANGE', KEYS[1], id, id)
    if #have == 0 or have[1][2][2] ~= ARGV[i] then
      return {'differs', n}
    end
  elseif n == last + 1 or n - 1 <= archived then
    redis.call('XADD', KEYS[1], id, 'e', ARGV[i])
    last = n
  else
    return {'gap', last}
  end
  n = n + 1
end
return {'ok', last}
