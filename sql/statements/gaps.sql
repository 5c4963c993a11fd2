-- open_gap: a loss has begun
insert into feed_gaps (feed, connection, stream, from_time, reason, n)
values (%(feed)s, %(connection)s, %(stream)s, %(from_time)s, %(reason)s, %(n)s)
on conflict (stream, from_time) do nothing

-- close_gap: a loss has ended
insert into feed_gaps as held (feed, connection, stream, from_time, to_time, reason, n)
values (%(feed)s, %(connection)s, %(stream)s, %(from_time)s, %(to_time)s, %(reason)s, %(n)s)
on conflict (stream, from_time) do update set to_time = excluded.to_time
