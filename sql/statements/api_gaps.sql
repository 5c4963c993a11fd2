-- api_gaps: a page of the losses of feed, the newest first, before a place in that order
select feed, connection, stream, from_time, to_time, reason, filled, n
from feed_gaps
where (%(stream)s::text is null or stream = %(stream)s)
  and (%(open)s::boolean is null or (to_time is null) = %(open)s)
  and (%(before_time)s::timestamptz is null
       or (from_time, stream) < (%(before_time)s::timestamptz, %(before_stream)s::text))
order by from_time desc, stream desc
limit %(limit)s

-- api_gap_counts: how many losses last, and how many began since a time
select count(*) filter (where to_time is null) as open, count(*) filter (where from_time >= %(since)s) as recent
from feed_gaps
