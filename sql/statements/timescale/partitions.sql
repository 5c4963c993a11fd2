-- make_day: a chunk of ticks for one IST day, made beside and then attached, as far as the edition can
select make_tick_day(%(day)s::date)

-- drop_days: drop the chunks of ticks that lie more than so many days before the newest day held; their names
select drop_tick_days(%(days)s::integer)
