-- Tell other programs how each account's pulls stand (events.health).
-- KEYS[1] a hash: account -> JSON   ARGV[1] milliseconds until it is gone, if nobody writes it again
-- ARGV[2] how many accounts there are   then their names   then account, JSON, account, JSON, ... of those with news
-- Answers how many accounts stand in it. One that is in the hash and has no news stays; one that is no more goes.
local number, there = tonumber(ARGV[2]), {}
for place = 3, number + 2 do
  there[ARGV[place]] = true
end
for _, account in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not there[account] then
    redis.call('HDEL', KEYS[1], account)
  end
end
for place = number + 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('HLEN', KEYS[1])
