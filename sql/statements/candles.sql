-- make_candle_input: where a batch of candles is laid down before it is merged; of this connection alone
create temporary table if not exists candle_input (
    bucket timestamptz, instrument_token bigint, open double precision, high double precision, low double precision,
    close double precision, volume bigint, oi bigint, tick_count bigint, coverage double precision,
    late bigint, falls bigint
) on commit delete rows

-- copy_candle_input: lay down a batch of candles
copy candle_input from stdin (format binary)

-- make_volume_input: where the day's highest volumes are laid down; of this connection alone
create temporary table if not exists volume_input (instrument_token bigint, day_number bigint, highest bigint)
on commit delete rows

-- copy_volume_input: lay down the day's highest volumes
copy volume_input from stdin (format binary)

-- merge_candles: add what a batch saw to the candles that are there; open stays, close is the newest
insert into candles_1m as held (bucket, instrument_token, open, high, low, close, volume, oi, tick_count, coverage,
                                source, revision, volume_falls, stream_id)
select bucket, instrument_token, open, high, low, close, volume, oi, tick_count, coverage, 'ticks', late, falls,
       %(stream_id)s
from candle_input
on conflict (instrument_token, bucket) do update set
    open = case when held.source = 'ticks' then held.open else excluded.open end,
    high = case when held.source = 'ticks' then greatest(held.high, excluded.high) else excluded.high end,
    low = case when held.source = 'ticks' then least(held.low, excluded.low) else excluded.low end,
    close = excluded.close,
    volume = case when held.source = 'ticks' then held.volume + excluded.volume else excluded.volume end,
    oi = coalesce(excluded.oi, held.oi),
    tick_count = held.tick_count + excluded.tick_count,
    coverage = excluded.coverage, source = 'ticks',
    revision = held.revision + excluded.revision, volume_falls = held.volume_falls + excluded.volume_falls,
    stream_id = excluded.stream_id

-- keep_volumes: remember the highest volume of each instrument and day
insert into candle_volumes as held (stream_id, instrument_token, day, highest)
select %(stream_id)s, instrument_token, date '1970-01-01' + day_number::integer, highest from volume_input
on conflict (stream_id, instrument_token, day) do update set highest = greatest(held.highest, excluded.highest)

-- keep_clock: remember how far the stream's own time has come
insert into candle_clocks (stream_id, newest_ns, newest_at_ns, watermark_ns)
values (%(stream_id)s, %(newest_ns)s, %(newest_at_ns)s, %(watermark_ns)s)
on conflict (stream_id) do update set
    newest_ns = excluded.newest_ns, newest_at_ns = excluded.newest_at_ns, watermark_ns = excluded.watermark_ns

-- keep_uncovered: add seconds of a minute in which nothing could be received
insert into candle_uncovered as held (stream_id, instrument_token, bucket, seconds)
values (%(stream_id)s, %(instrument_token)s, %(bucket)s, %(seconds)s)
on conflict (stream_id, bucket, instrument_token) do update set seconds = held.seconds + excluded.seconds

-- lower_coverage: tell the candles of minutes that turned out to have a gap
update candles_1m held
set coverage = greatest(0, 1 - (
    select sum(lost.seconds) from candle_uncovered lost
    where lost.stream_id = held.stream_id and lost.bucket = held.bucket
      and lost.instrument_token in (0, held.instrument_token)) / 60)
where held.stream_id = %(stream_id)s and held.bucket = any (%(buckets)s) and held.source = 'ticks'

-- read_volumes: the highest volumes of a stream, of its newest days
select instrument_token, day - date '1970-01-01' as day_number, highest from candle_volumes
where stream_id = %(stream_id)s
  and day > (select max(day) from candle_volumes where stream_id = %(stream_id)s) - %(days)s

-- read_volume: the highest volume of one instrument on one day
select highest from candle_volumes
where stream_id = %(stream_id)s and instrument_token = %(instrument_token)s
  and day = date '1970-01-01' + %(day_number)s

-- read_clock: how far the stream's own time had come
select newest_ns, newest_at_ns, watermark_ns from candle_clocks where stream_id = %(stream_id)s

-- read_uncovered: the seconds of minutes that were not received, of the newest day
select instrument_token, bucket, seconds from candle_uncovered
where stream_id = %(stream_id)s
  and bucket > (select max(bucket) from candle_uncovered where stream_id = %(stream_id)s) - interval '1 day'

-- read_candle_subscriptions: what a stream was seen to subscribe
select unnest(tokens) as instrument_token from candle_subscriptions where stream_id = %(stream_id)s

-- keep_candle_subscriptions: remember what a stream was seen to subscribe
insert into candle_subscriptions as held (stream_id, tokens) values (%(stream_id)s, %(tokens)s)
on conflict (stream_id) do update set tokens = excluded.tokens where held.tokens <> excluded.tokens
