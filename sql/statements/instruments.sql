-- make_dump: where a dump is laid down before it is compared; of this transaction alone
create temporary table if not exists dump (
    instrument_token bigint, exchange_token bigint, tradingsymbol text, name text, expiry date,
    strike double precision, tick_size double precision, lot_size bigint, instrument_type text, segment text,
    exchange text
) on commit drop

-- copy_dump: lay down a dump
copy dump from stdin

-- drop_dump: make room for the next one
truncate dump

-- last_dump: the newest day for which this broker's dump is held
select day, sha256 from instrument_dumps where broker = %(broker)s order by day desc limit 1

-- end_changed_instruments: descriptions that the dump no longer has, or has otherwise, held until the day before
update instruments held set valid_to = %(day)s::date - 1
where held.broker = %(broker)s and held.valid_to is null and held.valid_from < %(day)s
  and not exists (
    select from dump
    where dump.instrument_token = held.instrument_token
      and (dump.exchange, dump.tradingsymbol, dump.name, dump.segment, dump.instrument_type, dump.expiry, dump.strike,
           dump.tick_size, dump.lot_size) is not distinct from
          (held.exchange, held.tradingsymbol, held.name, held.segment, held.instrument_type, held.expiry, held.strike,
           held.tick_size, held.lot_size))

-- forget_today: a second dump of the same day replaces what the first one began
delete from instruments where broker = %(broker)s and valid_from = %(day)s

-- reopen_yesterday: a second dump of the same day replaces what the first one ended
update instruments set valid_to = null where broker = %(broker)s and valid_to = %(day)s::date - 1

-- begin_instruments: descriptions that are new on this day
insert into instruments (instrument_token, exchange, tradingsymbol, name, segment, instrument_type, expiry, strike,
                         tick_size, lot_size, exchange_token, broker, valid_from)
select distinct on (instrument_token) instrument_token, exchange, tradingsymbol, name, segment, instrument_type,
       expiry, strike, tick_size, lot_size, exchange_token, %(broker)s, %(day)s
from dump
where not exists (
    select from instruments held
    where held.broker = %(broker)s and held.instrument_token = dump.instrument_token and held.valid_to is null)
order by instrument_token, tradingsymbol

-- keep_dump: which dump stands for the day
insert into instrument_dumps (broker, day, n, rows, sha256, at)
values (%(broker)s, %(day)s, %(n)s, %(rows)s, %(sha256)s, %(at)s)
on conflict (broker, day) do update set n = excluded.n, rows = excluded.rows, sha256 = excluded.sha256, at = excluded.at
