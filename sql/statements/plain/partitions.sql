-- make_day: a partition of ticks for one IST day, made beside and then attached, so that no reader waits
select make_tick_day(%(day)s::date)

-- drop_days: drop the days of ticks that lie more than so many days before the newest day held; their names
select drop_tick_days(%(days)s::integer)
