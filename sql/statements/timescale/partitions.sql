-- make_day: TimescaleDB makes its chunks itself
select %(day)s::date

-- drop_days: drop the chunks of ticks that lie more than so many days before the newest day held; their names
select drop_tick_days(%(days)s::integer)
