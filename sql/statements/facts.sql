-- database_facts: how large the database is, and what time it has there
select pg_database_size(current_database()) as bytes,
       (extract(epoch from clock_timestamp()) * 1000000)::bigint as clock_us

-- parked_sums: what could not be read and was not set aside, and what was, by projector and stream
select projector, stream, count(*) filter (where state <> 'set_aside') as events,
       count(*) filter (where state = 'set_aside') as set_aside,
       max(n) filter (where state <> 'set_aside') as last_n, min(error) filter (where state <> 'set_aside') as error
from parked group by projector, stream order by stream, projector

-- open_gaps: losses of feed that last
select stream, from_time, reason from feed_gaps where to_time is null order by from_time

-- gaps_since: how many losses of feed began since a time
select count(*) as gaps from feed_gaps where from_time >= %(since)s

-- unlisted_instruments: those of these names that a broker's newest list does not have; none while it is not there
select asked.name from unnest(%(names)s::text[]) with ordinality as asked (name, place)
where exists (select from instruments where broker = %(broker)s and valid_to is null)
  and not exists (
    select from instruments held
    where held.broker = %(broker)s and held.valid_to is null
      and held.instrument_token = case when asked.name ~ '^[0-9]{1,18}$' then asked.name::bigint end)
  and not exists (
    select from instruments held
    where held.broker = %(broker)s and held.valid_to is null and held.exchange = split_part(asked.name, ':', 1)
      and held.tradingsymbol = substr(asked.name, strpos(asked.name, ':') + 1))
order by asked.place
