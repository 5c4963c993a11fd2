-- api_instruments: a page of the instruments of the newest dumps, best match first, behind a place in that order
select rank, instrument_token, exchange, tradingsymbol, name, segment, instrument_type, expiry, strike, tick_size,
       lot_size, exchange_token, valid_from, valid_to
from (
    select *, case when %(search)s::text is null then 0
                   when upper(tradingsymbol) = %(search)s then 0
                   when starts_with(upper(tradingsymbol), %(search)s) then 1
                   when starts_with(upper(name), %(search)s) then 2
                   else 3 end as rank
    from instruments
    where valid_to is null
      and (%(exchange)s::text is null or exchange = %(exchange)s)
      and (%(segment)s::text is null or segment = %(segment)s)
      and (%(instrument_type)s::text is null or instrument_type = %(instrument_type)s)
      and (%(expiry)s::date is null or expiry = %(expiry)s)
      and (%(search)s::text is null or strpos(upper(tradingsymbol), %(search)s) > 0
           or strpos(upper(name), %(search)s) > 0)
) held
where %(after_rank)s::integer is null
   or (rank, tradingsymbol collate "C", instrument_token)
      > (%(after_rank)s::integer, %(after_symbol)s::text collate "C", %(after_token)s::bigint)
order by rank, tradingsymbol collate "C", instrument_token
limit %(limit)s

-- api_instrument: the newest description of one instrument, also of one that is no longer traded
select 0 as rank, instrument_token, exchange, tradingsymbol, name, segment, instrument_type, expiry, strike, tick_size,
       lot_size, exchange_token, valid_from, valid_to
from instruments where instrument_token = %(instrument_token)s
order by valid_from desc limit 1

-- api_known_instruments: which of these tokens and of these EXCHANGE:SYMBOL are traded now
select instrument_token, exchange || ':' || tradingsymbol as symbol
from instruments
where valid_to is null
  and (instrument_token = any (%(tokens)s::bigint[])
       or (tradingsymbol = any (%(names)s::text[]) and exchange || ':' || tradingsymbol = any (%(symbols)s::text[])))

-- api_any_instrument: whether any dump has been loaded
select exists (select from instruments where valid_to is null) as known

-- api_named_instruments: the symbols of these tokens, for a page that shows prices
select distinct on (instrument_token) instrument_token, exchange, tradingsymbol, name, segment, instrument_type, tick_size
from instruments where instrument_token = any (%(tokens)s::bigint[])
order by instrument_token, valid_from desc
