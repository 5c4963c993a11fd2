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
    primary key (stream_id, instrument_token, day)
) with (fillfactor = 50);
comment on table candle_volumes is 'The highest day''s volume seen so far: what a tick adds is counted from it.';

create table candle_clocks (
    stream_id    smallint primary key,
    newest_ns    bigint not null,
    newest_at_ns bigint not null,
    watermark_ns bigint not null
);
comment on table candle_clocks is 'The newest exchange time of a stream, when it came, and up to where candles are closed.';

create table candle_uncovered (
    stream_id        smallint         not null,
    instrument_token bigint           not null,
    bucket           timestamptz      not null,
    seconds          double precision not null,
    primary key (stream_id, bucket, instrument_token)
);
comment on table candle_uncovered is 'Seconds of a minute in which a stream (token 0) or one instrument was not received.';

create table candle_subscriptions (
    stream_id smallint primary key,
    tokens    bigint[] not null
);
comment on table candle_subscriptions is 'What a stream was seen to subscribe: the first time lowers that minute''s coverage.';

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

create view candles_5m as
select rolled as bucket, instrument_token,
       (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by bucket desc))[1] as close, sum(volume)::bigint as volume,
       (array_agg(oi order by bucket desc))[1] as oi, sum(tick_count)::integer as tick_count,
       greatest(0, 1 - coalesce((
           select sum(least(60, lost.seconds)) from candle_uncovered lost
           where lost.stream_id = any (array_agg(distinct each.stream_id))
             and lost.instrument_token in (0, each.instrument_token)
             and lost.bucket >= rolled and lost.bucket < rolled + interval '300 seconds'), 0) / 300.0) as coverage,
       case when min(source) = max(source) then min(source) else 'mixed' end as source
from (select *, roll_bucket(bucket, instrument_token, interval '5 minutes') as rolled from candles_1m) each
group by rolled, instrument_token;

create view candles_15m as
select rolled as bucket, instrument_token,
       (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by bucket desc))[1] as close, sum(volume)::bigint as volume,
       (array_agg(oi order by bucket desc))[1] as oi, sum(tick_count)::integer as tick_count,
       greatest(0, 1 - coalesce((
           select sum(least(60, lost.seconds)) from candle_uncovered lost
           where lost.stream_id = any (array_agg(distinct each.stream_id))
             and lost.instrument_token in (0, each.instrument_token)
             and lost.bucket >= rolled and lost.bucket < rolled + interval '900 seconds'), 0) / 900.0) as coverage,
       case when min(source) = max(source) then min(source) else 'mixed' end as source
from (select *, roll_bucket(bucket, instrument_token, interval '15 minutes') as rolled from candles_1m) each
group by rolled, instrument_token;

create view candles_1h as
select rolled as bucket, instrument_token,
       (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by bucket desc))[1] as close, sum(volume)::bigint as volume,
       (array_agg(oi order by bucket desc))[1] as oi, sum(tick_count)::integer as tick_count,
       greatest(0, 1 - coalesce((
           select sum(least(60, lost.seconds)) from candle_uncovered lost
           where lost.stream_id = any (array_agg(distinct each.stream_id))
             and lost.instrument_token in (0, each.instrument_token)
             and lost.bucket >= rolled and lost.bucket < rolled + interval '3600 seconds'), 0) / 3600.0) as coverage,
       case when min(source) = max(source) then min(source) else 'mixed' end as source
from (select *, roll_bucket(bucket, instrument_token, interval '1 hour') as rolled from candles_1m) each
group by rolled, instrument_token;

create view candles_1d as
select rolled as bucket, instrument_token,
       (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
       (array_agg(close order by bucket desc))[1] as close, sum(volume)::bigint as volume,
       (array_agg(oi order by bucket desc))[1] as oi, sum(tick_count)::integer as tick_count,
       greatest(0, 1 - coalesce((
           select sum(least(60, lost.seconds)) from candle_uncovered lost
           where lost.stream_id = any (array_agg(distinct each.stream_id))
             and lost.instrument_token in (0, each.instrument_token)
             and lost.bucket >= rolled and lost.bucket < rolled + interval '22500 seconds'), 0) / 22500.0) as coverage,
       case when min(source) = max(source) then min(source) else 'mixed' end as source
from (select *, roll_day(bucket, instrument_token) as rolled from candles_1m) each
group by rolled, instrument_token;
