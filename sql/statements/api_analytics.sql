-- api_books: what each strategy won in each account, by its books; as drafted where asked
select account_id, strategy_id, sum(realised_fifo) as realised, sum(realised_average) as realised_average,
       sum(cash_flow) as cash_flow, sum(opening_value) as opening_value
from books
where draft = %(draft)s
  and (%(account)s::text is null or account_id = %(account)s)
  and (%(strategy)s::text is null or strategy_id = %(strategy)s)
group by account_id, strategy_id
order by account_id, strategy_id

-- api_realised: what each strategy won in each account by closing within a span of days; by average where all lots tell it
select account_id, strategy_id, sum(realised) as realised,
       case when count(realised_average) = count(*) then sum(realised_average) end as realised_average
from closed_lots
where not draft
  and (%(account)s::text is null or account_id = %(account)s)
  and (%(strategy)s::text is null or strategy_id = %(strategy)s)
  and (%(first)s::date is null or day >= %(first)s)
  and (%(last)s::date is null or day <= %(last)s)
group by account_id, strategy_id
order by account_id, strategy_id

-- api_traded: trades of each strategy in each account within a span of days, and what they cost; as drafted where asked
select account_id, strategy_id, count(*) as trades, sum(value) as turnover, coalesce(sum(total), 0) as charges
from (select account_id, day, exchange, order_id, trade_id,
             coalesce(case when %(draft)s then draft_strategy_id else strategy_id end, 'none') as strategy_id,
             quantity * price * coalesce(multiplier, 1) as value
      from trades left join multipliers using (exchange, tradingsymbol)
      where (%(account)s::text is null or account_id = %(account)s)
        and (%(named)s::text is null or %(draft)s or trades.strategy_id = %(named)s)
        and (not %(unattributed)s or %(draft)s or trades.strategy_id is null)
        and (%(first)s::date is null or day >= %(first)s)
        and (%(last)s::date is null or day <= %(last)s)) own
left join trade_charges using (account_id, day, exchange, order_id, trade_id)
group by account_id, strategy_id
order by account_id, strategy_id

-- api_open_books: what is open, with the newest price that the broker told, and the token by which ticks know it
select books.account_id, books.strategy_id, books.exchange, books.tradingsymbol, books.product, books.quantity,
       books.multiplier, fifo_price, books.average_price, fifo_value, average_value,
       coalesce(net.instrument_token, held.instrument_token,
                (select instrument_token from trades
                 where trades.account_id = books.account_id and trades.exchange = books.exchange
                   and trades.tradingsymbol = books.tradingsymbol and trades.product = books.product
                 order by time desc limit 1)) as instrument_token,
       case when later then held.last_price else net.last_price end as told_price,
       case when later then held.synced_at else net.synced_at end as told_at
from books
left join positions net using (account_id, exchange, tradingsymbol, product)
left join holdings held on held.account_id = books.account_id and held.exchange = books.exchange
                       and held.tradingsymbol = books.tradingsymbol and books.product in ('CNC', 'MTF')
cross join lateral (
    select net.last_price is null or held.last_price is not null and held.synced_at > net.synced_at as later) newer
where books.quantity <> 0 and books.draft = %(draft)s
  and (%(account)s::text is null or books.account_id = %(account)s)
  and (%(strategy)s::text is null or books.strategy_id = %(strategy)s)
order by books.account_id, books.strategy_id, books.exchange, books.tradingsymbol, books.product

-- api_uncharged: days whose charges cannot be reckoned, the newest first
select account_id, day, exchange, error from uncharged
where (%(account)s::text is null or account_id = %(account)s)
  and (%(first)s::date is null or day >= %(first)s)
  and (%(last)s::date is null or day <= %(last)s)
order by day desc, account_id, exchange
limit %(limit)s

-- api_days: what was won by closing, what trades cost and how many they were, by day, and by account and strategy
select day, account_id, strategy_id, sum(realised) as realised,
       case when count(realised_average) = count(*) then sum(realised_average) end as realised_average,
       sum(charges) as charges, sum(realised) - sum(charges) as net, sum(trades)::bigint as trades,
       sum(turnover) as turnover
from (
    select day, case when %(by_account)s then account_id end as account_id,
           case when %(by_strategy)s then strategy_id end as strategy_id,
           sum(realised) as realised,
           case when count(realised_average) = count(*) then sum(realised_average) end as realised_average,
           0 as charges, 0 as trades, 0 as turnover
    from closed_lots
    where not draft
      and (%(account)s::text is null or account_id = %(account)s)
      and (%(strategy)s::text is null or strategy_id = %(strategy)s)
      and (%(first)s::date is null or day >= %(first)s)
      and (%(last)s::date is null or day <= %(last)s)
    group by 1, 2, 3
    union all
    select day, case when %(by_account)s then account_id end,
           case when %(by_strategy)s then coalesce(strategy_id, 'none') end, 0, 0, 0, count(*),
           sum(quantity * price * coalesce(multiplier, 1))
    from trades left join multipliers using (exchange, tradingsymbol)
    where (%(account)s::text is null or account_id = %(account)s)
      and (%(named)s::text is null or strategy_id = %(named)s)
      and (not %(unattributed)s or strategy_id is null)
      and (%(first)s::date is null or day >= %(first)s)
      and (%(last)s::date is null or day <= %(last)s)
    group by 1, 2, 3
    union all
    select day, case when %(by_account)s then account_id end, null, 0, 0, sum(total), 0, 0
    from trade_charges
    where %(strategy)s::text is null and not %(by_strategy)s
      and (%(account)s::text is null or account_id = %(account)s)
      and (%(first)s::date is null or day >= %(first)s)
      and (%(last)s::date is null or day <= %(last)s)
    group by 1, 2, 3
    union all
    select day, case when %(by_account)s then account_id end,
           case when %(by_strategy)s then coalesce(strategy_id, 'none') end, 0, 0, sum(total), 0, 0
    from trades join trade_charges using (account_id, day, exchange, order_id, trade_id)
    where (%(strategy)s::text is not null or %(by_strategy)s)
      and (%(account)s::text is null or account_id = %(account)s)
      and (%(named)s::text is null or strategy_id = %(named)s)
      and (not %(unattributed)s or strategy_id is null)
      and (%(first)s::date is null or day >= %(first)s)
      and (%(last)s::date is null or day <= %(last)s)
    group by 1, 2, 3) told
group by day, account_id, strategy_id
order by day, account_id, strategy_id

-- api_trips: what each round trip that ended within a span of days brought, less its share of charges, as they ended
select coalesce(array_agg(round(realised - charges, 2) order by ended_at), '{}') as nets
from round_trips
where (%(account)s::text is null or account_id = %(account)s)
  and (%(strategy)s::text is null or strategy_id = %(strategy)s)
  and (%(first)s::date is null or day >= %(first)s)
  and (%(last)s::date is null or day <= %(last)s)

-- api_symbols: how many instruments were traded within a span of days
select count(*) as symbols
from (select distinct exchange, tradingsymbol from trades
      where (%(account)s::text is null or account_id = %(account)s)
        and (%(named)s::text is null or strategy_id = %(named)s)
        and (not %(unattributed)s or strategy_id is null)
        and (%(first)s::date is null or day >= %(first)s)
        and (%(last)s::date is null or day <= %(last)s)) traded

-- api_spread: trades and their value within a span of days, by each of what they can be told apart by
select case when grouping(hour) = 0 then 'hour' when grouping(weekday) = 0 then 'weekday'
            when grouping(tradingsymbol) = 0 then 'symbol' when grouping(exchange) = 0 then 'exchange'
            when grouping(product) = 0 then 'product' when grouping(side) = 0 then 'side'
            when grouping(strategy_id) = 0 then 'strategy' else 'all' end as dimension,
       coalesce(to_char(hour, 'FM00') || ':00', weekday::text, exchange || ':' || tradingsymbol, exchange, product, side,
                strategy_id, '') as name,
       coalesce(sum(trades), 0)::bigint as trades, coalesce(sum(value), 0) as value
from (select extract(hour from time at time zone 'Asia/Kolkata') as hour, extract(isodow from day) as weekday, exchange,
             tradingsymbol, product, side, coalesce(strategy_id, 'none') as strategy_id, count(*) as trades,
             sum(quantity * price * coalesce(multiplier, 1)) as value
      from trades left join multipliers using (exchange, tradingsymbol)
      where (%(account)s::text is null or account_id = %(account)s)
        and (%(named)s::text is null or strategy_id = %(named)s)
        and (not %(unattributed)s or strategy_id is null)
        and (%(first)s::date is null or day >= %(first)s)
        and (%(last)s::date is null or day <= %(last)s)
      group by 1, 2, 3, 4, 5, 6, 7) own  -- added up once by all of them: few rows are left for each
group by grouping sets ((), (hour), (weekday), (exchange, tradingsymbol), (exchange), (product), (side), (strategy_id))
order by 1, 2

-- api_hours: trades and their value in each hour of Indian time, behind a place in that order
select date_trunc('hour', time, 'Asia/Kolkata') as hour, count(*) as trades,
       sum(quantity * price * coalesce(multiplier, 1)) as value
from trades left join multipliers using (exchange, tradingsymbol)
where (%(account)s::text is null or account_id = %(account)s)
  and (%(named)s::text is null or strategy_id = %(named)s)
  and (not %(unattributed)s or strategy_id is null)
  and (%(first)s::date is null or day >= %(first)s)
  and (%(last)s::date is null or day <= %(last)s)
  and (%(after)s::timestamptz is null or time >= %(after)s::timestamptz + interval '1 hour')
group by 1
order by 1
limit %(limit)s

-- api_told_trades: a page of trades, the newest first, with what each cost and what was won by what it closed
select account_id, day, exchange, order_id, trade_id, time, tradingsymbol, instrument_token, product, side, quantity,
       price, quantity * price * coalesce(multiplier, 1) as value, coalesce(strategy_id, 'none') as strategy_id,
       strategy_reason, total as charges, segment,
       (select sum(realised) from closed_lots lot
        where not lot.draft and lot.account_id = own.account_id and lot.day = own.day
          and lot.closed_order_id = own.order_id and lot.closed_trade_id = own.trade_id
          and lot.exchange = own.exchange) as realised
from (select * from trades
      where (%(account)s::text is null or account_id = %(account)s)
        and (%(named)s::text is null or strategy_id = %(named)s)
        and (not %(unattributed)s or strategy_id is null)
        and (%(first)s::date is null
             or time >= %(first)s::date::timestamp at time zone 'Asia/Kolkata')
        and (%(last)s::date is null
             or time < (%(last)s::date + 1)::timestamp at time zone 'Asia/Kolkata')
        and (%(after_time)s::timestamptz is null
             or time <= %(after_time)s::timestamptz
                and (time, account_id, exchange, order_id, trade_id)
                    < (%(after_time)s::timestamptz, %(after_account)s::text, %(after_exchange)s::text,
                       %(after_order)s::text, %(after_trade)s::text))
      order by time desc, account_id desc, exchange desc, order_id desc, trade_id desc
      limit %(limit)s) own
left join multipliers using (exchange, tradingsymbol)
left join trade_charges using (account_id, day, exchange, order_id, trade_id)
order by time desc, account_id desc, exchange desc, order_id desc, trade_id desc

-- api_moved_trades: a page of the trades that the drafts would give to another strategy, the newest first
select account_id, day, exchange, order_id, trade_id, time, tradingsymbol, product, side, quantity, price,
       coalesce(strategy_id, 'none') as strategy_id, coalesce(draft_strategy_id, 'none') as draft_strategy_id
from trades
where strategy_id is distinct from draft_strategy_id
  and (%(account)s::text is null or account_id = %(account)s)
  and (%(after_time)s::timestamptz is null
       or (time, account_id, exchange, order_id, trade_id)
          < (%(after_time)s::timestamptz, %(after_account)s::text, %(after_exchange)s::text, %(after_order)s::text,
             %(after_trade)s::text))
order by time desc, account_id desc, exchange desc, order_id desc, trade_id desc
limit %(limit)s

-- api_moved_count: how many trades the drafts would give to another strategy
select count(*) as trades from trades
where strategy_id is distinct from draft_strategy_id and (%(account)s::text is null or account_id = %(account)s)

-- api_history: all trades of an account, and the fills told by hand, as tax lots ask
select day, exchange, order_id, trade_id, time, tradingsymbol, side, quantity, price,
       coalesce(multiplier, 1) as multiplier
from (select day, exchange, order_id, trade_id, time, tradingsymbol, side, quantity, price from trades
      where account_id = %(account)s
      union all
      select day, exchange, order_id, 'correction:' || fill_id, time, tradingsymbol, side, quantity, price
      from corrections where account_id = %(account)s) fills
left join multipliers using (exchange, tradingsymbol)

-- api_openings: the lots of an account that were there before its first trade
select day, exchange, tradingsymbol, product, quantity, price, coalesce(multiplier, 1) as multiplier
from opening_lots left join multipliers using (exchange, tradingsymbol)
where account_id = %(account)s

-- api_isins: by which ISIN instruments are known that were ever held
select distinct exchange, tradingsymbol, isin from holdings where isin <> ''
