-- hold_tables: let nobody replace what is about to be read
lock table parked, ticks, candles_1m, feed_gaps, instruments in access share mode

-- wait_patiently: counting a week of ticks takes longer than a projector's statement may
select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)

-- all_streams: the short number of each stream
select stream_id, stream from streams

-- held_tick_days: the days for which the database has a place for ticks, the newest first
select distinct day from tick_days() order by day desc

-- any_tick: whether there is any tick between two times
select exists (select from ticks where time >= %(from)s and time < %(to)s) as found

-- count_ticks: how many rows each event has: pairs of (n, rows), both int8, many in one value
select stream_id, string_agg(int8send(n) || int8send(rows), ''::bytea) as pairs
from (select stream_id, n, count(*) as rows from ticks where time >= %(from)s group by stream_id, n) each
group by stream_id, n / 4096

-- count_parked: how many packets of each event were parked, whether it was parked whole, and whether it is set aside
select stream, n, packets, state = 'set_aside' as set_aside,
       (select max(octet_length(payload)) from parked_events part
        where part.projector = 'ticks' and part.stream = parked.stream and part.n = parked.n) as payload_bytes
from parked where projector = 'ticks'

-- all_gaps: the losses of feed, in microseconds
select stream, (extract(epoch from from_time) * 1000000)::bigint as from_us,
       (extract(epoch from to_time) * 1000000)::bigint as to_us, reason
from feed_gaps

-- count_candles: how many candles there are and what they add up to, by where they come from
select source = 'ticks' as from_ticks, count(*) as candles, sum(tick_count)::bigint as ticks from candles_1m group by 1

-- candle_instruments: every instrument that has a candle; hops over the index from one to the next
with recursive hop as (
    (select instrument_token from candles_1m order by instrument_token limit 1)
    union all
    select (select later.instrument_token from candles_1m later
            where later.instrument_token > hop.instrument_token order by later.instrument_token limit 1)
    from hop where hop.instrument_token is not null
)
select instrument_token from hop where instrument_token is not null

-- pack_candles: an instrument's candles from ticks as records of int8 and float8, many in one value
select instrument_token,
       string_agg(int8send(extract(epoch from bucket)::bigint) || float8send(open) || float8send(high)
                  || float8send(low) || float8send(close) || int8send(volume) || int8send(coalesce(oi, -1))
                  || int8send(tick_count::bigint), ''::bytea) as records
from candles_1m
where source = 'ticks' and (%(tokens)s::bigint[] is null or instrument_token = any (%(tokens)s::bigint[]))
group by instrument_token, (bucket at time zone 'Asia/Kolkata')::date

-- instruments_now: the descriptions that hold today, as a dump spells them
select broker, instrument_token, exchange, tradingsymbol, name, segment, instrument_type,
       coalesce(expiry::text, '') as expiry, coalesce(strike, 0) as strike, tick_size, lot_size
from instruments where valid_to is null

-- parked_numbers: the events that a projector could not read
select distinct n from parked_events where projector = %(projector)s

-- told_by_brokers: every order that a broker told of
select account_id, order_id from orders

-- traded_by_brokers: every trade that a broker told of
select account_id, exchange, order_id, trade_id, quantity::float8 as quantity, price::float8 as price from trades

-- kept_aside: rows of the brokers that cannot be read, with kind and account, as the projection says them
select payload, said[1] as kind, said[2] as account
from parked_events, regexp_match(error, '^row [0-9]+ of the ([a-z]+) of ([^:]+): ') said
where projector = 'accounts' and said is not null
