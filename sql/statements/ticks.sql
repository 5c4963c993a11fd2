-- copy_ticks: load decoded ticks, in the order of the log
copy ticks (time, received_at, instrument_token, last_price, last_quantity, average_price, volume, buy_quantity,
            sell_quantity, oi, bid_price, bid_quantity, ask_price, ask_quantity, n, stream_id, flags)
from stdin (format binary)

-- make_tick_day: a place for one IST day of ticks, made beside and then attached, so that no reader waits
select make_tick_day(%(day)s::date)

-- drop_tick_days: drop the days of ticks that lie more than so many days before the newest day held; their names
select drop_tick_days(%(days)s::integer) as part

-- wait_briefly: a drop must not hold up those who load ticks while it waits for somebody who reads them
select set_config('lock_timeout', '500ms', true)

-- reach_compressed: let rows of one event be taken out of a compressed day, which TimescaleDB limits otherwise
select set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)

-- forget_ticks: the rows of one event, found by the times that its packets have
delete from ticks
where time = any (%(times)s::timestamptz[]) and instrument_token = any (%(tokens)s::bigint[])
  and stream_id = %(stream_id)s and n = %(n)s
returning n
