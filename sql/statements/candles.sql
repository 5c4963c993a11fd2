-- make_candle_input: where a batch of candles is laid down before it is merged; of this connection alone
create temporary table if not exists candle_input (
    bucket timestamptz, instrument_token bigint, open double precision, high double precision, low double precision,
    close double precision, volume bigint, oi bigint, tick_count bigint, late bigint, falls bigint
) on commit delete rows

-- copy_candle_input: lay down a batch of candles
copy candle_input from stdin (format binary)

-- make_volume_input: where the day's highest volumes are laid down; of this connection alone
create temporary table if not exists volume_input (
    instrument_token bigint, day_number bigint, highest bigint, seen_number bigint
) on commit delete rows

-- copy_volume_input: lay down the day's highest volumes
copy volume_input from stdin (format binary)

-- merge_candles: add what a batch saw to the candles that are there; open stays, close is the newest
insert into candles_1m as held (bucket, instrument_token, open, high, low, close, volume, oi, tick_count, coverage,
                                source, revision, volume_falls, stream_id)
select bucket, instrument_token, open, high, low, close, volume, oi, tick_count, 1, 'ticks', late, falls,
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
    coverage = case when held.source = 'ticks' then held.coverage else 1 end, source = 'ticks',
    revision = held.revision + excluded.revision, volume_falls = held.volume_falls + excluded.volume_falls,
    stream_id = excluded.stream_id

-- cover_input: tell the candles of a batch what was not received of them, as far as it is known
update candles_1m held
set coverage = candle_coverage(array[held.stream_id], held.instrument_token, held.bucket,
                               held.bucket + interval '1 minute')
from candle_input fresh
where held.instrument_token = fresh.instrument_token and held.bucket = fresh.bucket
  and exists (
    select from candle_uncovered lost
    where lost.stream_id = %(stream_id)s and lost.instrument_token in (0, fresh.instrument_token)
      and lost.from_time < fresh.bucket + interval '1 minute' and lost.to_time > fresh.bucket)

-- cover_loss: tell the candles of a stretch that turned out not to be received; of these instruments, or all for null
update candles_1m held
set coverage = candle_coverage(array[held.stream_id], held.instrument_token, held.bucket,
                               held.bucket + interval '1 minute')
where held.stream_id = %(stream_id)s and held.source = 'ticks'
  and held.bucket > %(from)s::timestamptz - interval '1 minute' and held.bucket < %(to)s::timestamptz
  and (%(tokens)s::bigint[] is null or held.instrument_token = any (%(tokens)s::bigint[]))

-- keep_volumes: remember the highest volume of each instrument and day
insert into candle_volumes as held (stream_id, instrument_token, day, highest, seen)
select %(stream_id)s, instrument_token, date '1970-01-01' + day_number::integer, highest,
       date '1970-01-01' + seen_number::integer
from volume_input
on conflict (stream_id, instrument_token, day) do update set
    highest = greatest(held.highest, excluded.highest), seen = greatest(held.seen, excluded.seen)

-- keep_clock: remember how far the stream's own time has come
insert into candle_clocks (stream_id, newest_ns, newest_at_ns, watermark_ns)
values (%(stream_id)s, %(newest_ns)s, %(newest_at_ns)s, %(watermark_ns)s)
on conflict (stream_id) do update set
    newest_ns = excluded.newest_ns, newest_at_ns = excluded.newest_at_ns, watermark_ns = excluded.watermark_ns

-- keep_loss: remember a stretch in which nothing of a stream could be received
insert into candle_uncovered as held (stream_id, instrument_token, from_time, to_time)
values (%(stream_id)s, 0, %(from)s, %(to)s)
on conflict (stream_id, instrument_token, from_time) do update set to_time = greatest(held.to_time, excluded.to_time)

-- begin_absences: instruments that are no longer subscribed
insert into candle_uncovered (stream_id, instrument_token, from_time, to_time)
select %(stream_id)s, token, %(from)s, 'infinity' from unnest(%(tokens)s::bigint[]) token
on conflict (stream_id, instrument_token, from_time) do update set to_time = excluded.to_time

-- end_absences: instruments that are subscribed from now on; one that never was before was absent on this day so far
with ended as (
    update candle_uncovered set to_time = %(to)s
    where stream_id = %(stream_id)s and instrument_token = any (%(tokens)s) and to_time = 'infinity'
    returning instrument_token
)
insert into candle_uncovered as held (stream_id, instrument_token, from_time, to_time)
select %(stream_id)s, token, %(midnight)s, %(to)s from unnest(%(tokens)s::bigint[]) token
where token not in (select instrument_token from ended)
on conflict (stream_id, instrument_token, from_time) do update set to_time = greatest(held.to_time, excluded.to_time)

-- read_volumes: the highest volumes of a stream, of its newest days
select instrument_token, day - date '1970-01-01' as day_number, highest from candle_volumes
where stream_id = %(stream_id)s
  and day > (select max(day) from candle_volumes where stream_id = %(stream_id)s) - %(days)s::integer

-- read_old_volumes: the highest volumes of these instruments on these days
select instrument_token, day - date '1970-01-01' as day_number, highest
from unnest(%(tokens)s::bigint[], %(day_numbers)s::integer[]) wanted (token, number)
join candle_volumes on stream_id = %(stream_id)s and instrument_token = token and day = date '1970-01-01' + number

-- forget_volumes: drop the counters whose newest tick was received so many days before the newest of all; how many
with gone as (
    delete from candle_volumes where seen <= (select max(seen) from candle_volumes) - %(days)s::integer returning 1
)
select count(*) as counters from gone

-- read_clock: how far the stream's own time had come
select newest_ns, newest_at_ns, watermark_ns from candle_clocks where stream_id = %(stream_id)s

-- read_lost_until: the end of what is known not to have been received; an absence that lasts counts with its beginning
select (extract(epoch from max(case when to_time = 'infinity' then from_time else to_time end)) * 1e9)::bigint as until_ns
from candle_uncovered where stream_id = %(stream_id)s

-- read_candle_subscriptions: what a stream was seen to subscribe
select tokens from candle_subscriptions where stream_id = %(stream_id)s

-- keep_candle_subscriptions: remember what a stream was seen to subscribe
insert into candle_subscriptions as held (stream_id, tokens) values (%(stream_id)s, %(tokens)s)
on conflict (stream_id) do update set tokens = excluded.tokens where held.tokens <> excluded.tokens
