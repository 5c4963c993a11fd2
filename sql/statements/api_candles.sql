-- api_candles_1m: a page of one instrument's candles of a minute, oldest first
select bucket, open, high, low, close, volume, oi, coverage, source
from candles_1m
where instrument_token = %(instrument_token)s and bucket >= %(from)s and bucket <= %(to)s
order by bucket limit %(limit)s

-- api_candles_5m: a page of one instrument's candles of five minutes, oldest first
select bucket, open, high, low, close, volume, oi, coverage, source
from candles_5m
where instrument_token = %(instrument_token)s and bucket >= %(from)s and bucket <= %(to)s
order by bucket limit %(limit)s

-- api_candles_15m: a page of one instrument's candles of a quarter of an hour, oldest first
select bucket, open, high, low, close, volume, oi, coverage, source
from candles_15m
where instrument_token = %(instrument_token)s and bucket >= %(from)s and bucket <= %(to)s
order by bucket limit %(limit)s

-- api_candles_1h: a page of one instrument's candles of an hour, oldest first
select bucket, open, high, low, close, volume, oi, coverage, source
from candles_1h
where instrument_token = %(instrument_token)s and bucket >= %(from)s and bucket <= %(to)s
order by bucket limit %(limit)s

-- api_candles_1d: a page of one instrument's candles of a day, oldest first
select bucket, open, high, low, close, volume, oi, coverage, source
from candles_1d
where instrument_token = %(instrument_token)s and bucket >= %(from)s and bucket <= %(to)s
order by bucket limit %(limit)s

-- api_last_days: the last day of each instrument by its candles, with the close before it: prices for a quiet market
with last as (
    select distinct on (instrument_token) instrument_token, bucket, (bucket at time zone 'Asia/Kolkata')::date as day
    from candles_1m
    where bucket > (select max(bucket) from candles_1m) - make_interval(days => %(days)s)
    order by instrument_token, bucket desc
)
select last.instrument_token, (extract(epoch from last.bucket) * 1e9)::bigint as time_ns, held.*,
       coalesce(before.close, 0) as close
from last
cross join lateral (
    select (array_agg(open order by bucket))[1] as open, max(high) as high, min(low) as low,
           (array_agg(close order by bucket desc))[1] as last_price, sum(volume)::bigint as volume,
           coalesce((array_agg(oi order by bucket desc))[1], 0) as oi
    from candles_1m each
    where each.instrument_token = last.instrument_token and each.bucket <= last.bucket
      and each.bucket >= last.day::timestamp at time zone 'Asia/Kolkata'
) held
left join lateral (
    select each.close from candles_1m each
    where each.instrument_token = last.instrument_token
      and each.bucket < last.day::timestamp at time zone 'Asia/Kolkata'
    order by each.bucket desc limit 1
) before on true
