-- One-minute candles, what their projector remembers, and the longer ones as views.

create table candles_1m (
    bucket           timestamptz      not null,
    instrument_token bigint           not null,
    open             double precision not null,
    high             double precision not null,
    low              double precision not null,
    close            double precision not null,
    volume           bigint           not null,
    oi               bigint,
    tick_count       integer          not null,
    coverage         double precision not null,
    source           text             not null,
    revision         integer          not null default 0,
    volume_falls     integer          not null default 0,
    stream_id        smallint         not null,
    primary key (instrument_token, bucket)
) with (fillfactor = 70);
create index candles_1m_bucket on candles_1m (bucket, stream_id);
comment on column candles_1m.revision is 'How many ticks came after the candle had closed.';
comment on column candles_1m.volume_falls is 'How often the day''s counter fell in this minute.';

create table candle_volumes (
    stream_id        smallint not null,
    instrument_token bigint   not null,
    day              date     not null,
    highest          bigint   not null,
    seen             date     not null,
    primary key (stream_id, instrument_token, day)
) with (fillfactor = 50);
comment on table candle_volumes is 'The highest day''s volume seen so far: what a tick adds is counted from it.';
comment on column candle_volumes.seen is 'The IST day on which the newest of its ticks was received; forgotten by it.';

create table candle_clocks (
    stream_id    smallint primary key,
    newest_ns    bigint not null,
    newest_at_ns bigint not null,
    watermark_ns bigint not null
);
comment on table candle_clocks is 'The newest exchange time of a stream, when it came, and up to where candles are closed.';

create table candle_uncovered (
    stream_id        smallint    not null,
    instrument_token bigint      not null,
    from_time        timestamptz not null,
    to_time          timestamptz not null,
    primary key (stream_id, instrument_token, from_time)
);
comment on table candle_uncovered is
    'When a stream (token 0) or one instrument in it was not received; to_time is infinity while it is not subscribed.';

create table candle_subscriptions (
    stream_id smallint primary key,
    tokens    bigint[] not null
);
comment on table candle_subscriptions is 'What a stream was seen to subscribe last.';

create function candle_coverage(streams smallint[], token bigint, low timestamptz, high timestamptz)
returns double precision language sql stable parallel safe as $$
    select 1 - coalesce(sum(extract(epoch from upper(piece) - lower(piece))), 0)::double precision
               / extract(epoch from high - low)::double precision
    from (select unnest(range_agg(tstzrange(greatest(from_time, low), least(to_time, high)))) as piece
          from candle_uncovered
          where stream_id = any (streams) and instrument_token in (0, token) and from_time < high and to_time > low) lost
$$;
comment on function candle_coverage is 'The part of a stretch in which an instrument could be received, 0 to 1.';

create function candle_opens(token bigint) returns time language sql immutable parallel safe as $$
    -- by the segment in the token's last byte: cds 3, bcd 6, mcx 7, mcxsx 8 and nco 12 open at 09:00, all others at 09:15
    select case when token & 255 in (3, 6, 7, 8, 12) then time '09:00' else time '09:15' end
$$;
create function roll_bucket(at timestamptz, token bigint, width interval) returns timestamptz
language sql immutable parallel safe as $$
    select date_bin(width, at at time zone 'Asia/Kolkata', date '2000-01-03' + candle_opens(token)) at time zone 'Asia/Kolkata'
$$;

create function roll_day(at timestamptz, token bigint) returns timestamptz language sql immutable parallel safe as $$
    select ((at at time zone 'Asia/Kolkata')::date + candle_opens(token)) at time zone 'Asia/Kolkata'
$$;

create function candle_day(token bigint) returns interval language sql immutable parallel safe as $$
    -- 09:00 to 17:00 for currency, to 23:30 for commodities; 09:15 to 15:30 for all others
    select case when token & 255 in (3, 6) then interval '8 hours'
                when token & 255 in (7, 8, 12) then interval '14 hours 30 minutes'
                else interval '6 hours 15 minutes' end
$$;

create view candles_5m as
select rolled as bucket, instrument_token,
       (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by bucket desc))[1] as close, sum(volume)::bigint as volume,
       (array_agg(oi order by bucket desc) filter (where oi is not null))[1] as oi,
       sum(tick_count)::integer as tick_count,
       candle_coverage(array_agg(distinct stream_id), instrument_token, rolled, rolled + interval '5 minutes') as coverage,
       case when min(source) = max(source) then min(source) else 'mixed' end as source
from (select *, roll_bucket(bucket, instrument_token, interval '5 minutes') as rolled from candles_1m) each
group by rolled, instrument_token;

create view candles_15m as
select rolled as bucket, instrument_token,
       (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by bucket desc))[1] as close, sum(volume)::bigint as volume,
       (array_agg(oi order by bucket desc) filter (where oi is not null))[1] as oi,
       sum(tick_count)::integer as tick_count,
       candle_coverage(array_agg(distinct stream_id), instrument_token, rolled, rolled + interval '15 minutes') as coverage,
       case when min(source) = max(source) then min(source) else 'mixed' end as source
from (select *, roll_bucket(bucket, instrument_token, interval '15 minutes') as rolled from candles_1m) each
group by rolled, instrument_token;

create view candles_1h as
select rolled as bucket, instrument_token,
       (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by bucket desc))[1] as close, sum(volume)::bigint as volume,
       (array_agg(oi order by bucket desc) filter (where oi is not null))[1] as oi,
       sum(tick_count)::integer as tick_count,
       candle_coverage(array_agg(distinct stream_id), instrument_token, rolled, rolled + interval '1 hour') as coverage,
       case when min(source) = max(source) then min(source) else 'mixed' end as source
from (select *, roll_bucket(bucket, instrument_token, interval '1 hour') as rolled from candles_1m) each
group by rolled, instrument_token;

create view candles_1d as
select rolled as bucket, instrument_token,
       (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by bucket desc))[1] as close, sum(volume)::bigint as volume,
       (array_agg(oi order by bucket desc) filter (where oi is not null))[1] as oi,
       sum(tick_count)::integer as tick_count,
       candle_coverage(array_agg(distinct stream_id), instrument_token, rolled, rolled + candle_day(instrument_token)) as coverage,
       case when min(source) = max(source) then min(source) else 'mixed' end as source
from (select *, roll_day(bucket, instrument_token) as rolled from candles_1m) each
group by rolled, instrument_token;
