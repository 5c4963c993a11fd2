-- explain_ticks: the rows of one event, found by the times of its ticks
select time, received_at, instrument_token, last_price, volume, oi, bid_price, ask_price, flags
from ticks
where time >= %(from)s and time <= %(to)s and n = %(n)s
  and stream_id = (select stream_id from streams where stream = %(stream)s)
order by instrument_token

-- explain_candles: candles by instrument and minute
select bucket, instrument_token, open, high, low, close, volume, tick_count, revision, coverage, source
from candles_1m
where (instrument_token, bucket) in (select * from unnest(%(tokens)s::bigint[], %(buckets)s::timestamptz[]))
order by bucket, instrument_token

-- explain_parked: what of one event could not be read
select projector, part, error, packets, octet_length(payload) as bytes from parked_events
where stream = %(stream)s and n = %(n)s order by projector, part

-- explain_gaps: losses of feed that one event opened or closed
select from_time, to_time, reason, filled from feed_gaps
where stream = %(stream)s and (n = %(n)s or (from_time = %(from_time)s)) order by from_time
