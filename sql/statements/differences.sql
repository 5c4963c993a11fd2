-- look_into: find tables in this schema first, until the transaction ends
select set_config('search_path', %(schema)s || ', public', true)

-- newest_tick_day: the newest day that has ticks
select day from tick_days()
where exists (select from ticks where time >= day::timestamp at time zone 'Asia/Kolkata'
                                  and time < (day + 1)::timestamp at time zone 'Asia/Kolkata')
order by day desc limit 1

-- keep_tombstones: events that were lost with a disk; rows that live tables have of them are no difference
insert into tombstones (stream, n) select %(stream)s, n from unnest(%(numbers)s::bigint[]) n on conflict do nothing

-- read_tombstones: events that were lost with a disk
select stream, n from tombstones

-- sum_ticks: a checksum of each day's 256 events of a stream, over what is kept
select concat_ws(':', day, stream_id, block) as part, rows, checksum
from (select (time at time zone 'Asia/Kolkata')::date as day, stream_id, n / 256 as block, count(*) as rows,
             sum(hash_record_extended(ticks, 0)) as checksum
      from ticks where time >= %(since)s group by 1, 2, 3) each

-- rows_ticks: the rows of one part
select concat_ws(' ', stream, 'n', n, 'instrument', instrument_token) as key, stream, n, to_jsonb(ticks) as body
from ticks join streams using (stream_id)
where time >= split_part(%(part)s, ':', 1)::timestamp at time zone 'Asia/Kolkata'
  and time < (split_part(%(part)s, ':', 1)::date + 1)::timestamp at time zone 'Asia/Kolkata'
  and stream_id = split_part(%(part)s, ':', 2)::smallint
  and n / 256 = split_part(%(part)s, ':', 3)::bigint
order by n, instrument_token

-- sum_candles_1m: a checksum of each day's candles of some instruments
select concat_ws(':', day, block) as part, rows, checksum
from (select (bucket at time zone 'Asia/Kolkata')::date as day, instrument_token %% 64 as block, count(*) as rows,
             sum(hash_record_extended(candles_1m, 0)) as checksum
      from candles_1m group by 1, 2) each

-- rows_candles_1m: the candles of one part
select concat_ws(' ', instrument_token, bucket) as key, null as stream, null as n, to_jsonb(candles_1m) as body
from candles_1m
where bucket >= split_part(%(part)s, ':', 1)::timestamp at time zone 'Asia/Kolkata'
  and bucket < (split_part(%(part)s, ':', 1)::date + 1)::timestamp at time zone 'Asia/Kolkata'
  and instrument_token %% 64 = split_part(%(part)s, ':', 2)::bigint
order by instrument_token, bucket

-- sum_candle_volumes: a checksum of the counters of some instruments, of days that nobody has forgotten yet
select concat_ws(':', stream_id, block) as part, rows, checksum
from (select stream_id, instrument_token %% 64 as block, count(*) as rows,
             sum(hash_record_extended(candle_volumes, 0)) as checksum
      from candle_volumes where seen > (select max(seen) - 30 from candle_volumes) group by 1, 2) each

-- rows_candle_volumes: the counters of one part
select concat_ws(' ', stream_id, instrument_token, day) as key, null as stream, null as n,
       to_jsonb(candle_volumes) as body
from candle_volumes
where seen > (select max(seen) - 30 from candle_volumes)
  and stream_id = split_part(%(part)s, ':', 1)::smallint
  and instrument_token %% 64 = split_part(%(part)s, ':', 2)::bigint
order by instrument_token, day

-- sum_candle_clocks: a checksum of each stream's clock
select stream_id::text as part, count(*) as rows, sum(hash_record_extended(candle_clocks, 0)) as checksum
from candle_clocks group by 1

-- rows_candle_clocks: the clock of one stream
select stream_id::text as key, null as stream, null as n, to_jsonb(candle_clocks) as body
from candle_clocks where stream_id = %(part)s::smallint

-- sum_candle_uncovered: a checksum of what each stream did not receive
select stream_id::text as part, count(*) as rows, sum(hash_record_extended(candle_uncovered, 0)) as checksum
from candle_uncovered group by 1

-- rows_candle_uncovered: what one stream did not receive
select concat_ws(' ', stream_id, instrument_token, from_time) as key, null as stream, null as n,
       to_jsonb(candle_uncovered) as body
from candle_uncovered where stream_id = %(part)s::smallint order by instrument_token, from_time

-- sum_candle_subscriptions: a checksum of what each stream subscribed
select stream_id::text as part, count(*) as rows, sum(hash_record_extended(candle_subscriptions, 0)) as checksum
from candle_subscriptions group by 1

-- rows_candle_subscriptions: what one stream subscribed
select stream_id::text as key, null as stream, null as n, to_jsonb(candle_subscriptions) as body
from candle_subscriptions where stream_id = %(part)s::smallint

-- sum_feed_gaps: a checksum of each stream's gaps
select stream as part, count(*) as rows, sum(hash_record_extended(feed_gaps, 0)) as checksum from feed_gaps group by 1

-- rows_feed_gaps: the gaps of one stream
select concat_ws(' ', stream, from_time) as key, stream, n, to_jsonb(feed_gaps) as body
from feed_gaps where stream = %(part)s order by from_time

-- sum_instruments: a checksum of the descriptions of some instruments
select block::text as part, rows, checksum
from (select instrument_token %% 256 as block, count(*) as rows, sum(hash_record_extended(instruments, 0)) as checksum
      from instruments group by 1) each

-- rows_instruments: the descriptions of one part
select concat_ws(' ', broker, instrument_token, valid_from) as key, null as stream, null as n,
       to_jsonb(instruments) as body
from instruments where instrument_token %% 256 = %(part)s::bigint order by instrument_token, valid_from

-- sum_instrument_dumps: a checksum of each broker's dumps
select broker as part, count(*) as rows, sum(hash_record_extended(instrument_dumps, 0)) as checksum
from instrument_dumps group by 1

-- rows_instrument_dumps: the dumps of one broker
select concat_ws(' ', broker, day) as key, null as stream, null as n, to_jsonb(instrument_dumps) as body
from instrument_dumps where broker = %(part)s order by day

-- sum_parked_events: a checksum of what could not be read of each stream, from where the rebuild began
select stream as part, count(*) as rows, sum(hash_record_extended(parked_events, 0)) as checksum
from parked_events
where projector = %(projector)s and n >= coalesce((%(firsts)s::jsonb ->> stream)::bigint, 1) group by 1

-- rows_parked_events: what could not be read of one stream
select concat_ws(' ', stream, 'n', n, 'part', part) as key, stream, n, to_jsonb(parked_events) - 'payload' as body
from parked_events
where projector = %(projector)s and n >= coalesce((%(firsts)s::jsonb ->> stream)::bigint, 1) and stream = %(part)s
order by n, part

-- sum_parked_decisions: a checksum of what was asked in each stream of requests
select requests_stream as part, count(*) as rows, sum(hash_record_extended(parked_decisions, 0)) as checksum
from parked_decisions group by 1

-- rows_parked_decisions: what was asked in one stream of requests
select concat_ws(' ', requests_stream, requests_n) as key, requests_stream as stream, requests_n as n,
       to_jsonb(parked_decisions) as body
from parked_decisions where requests_stream = %(part)s order by requests_n

-- sum_by_account: a checksum of each account's rows, of a table that has no statement of its own
select part, rows, checksum from sum_by_account(%(table)s)

-- rows_by_account: the rows of one account
select key, null as stream, null as n, body from rows_by_account(%(table)s, %(part)s)
