-- drop_missing_fills: whether fills of these orders are missing is looked at anew
delete from missing_fills where account_id = %(account)s and order_id = any (%(order_ids)s)

-- keep_missing_fills: those of these orders of which more was filled than their trades, and fills told by hand, come to
insert into missing_fills (account_id, day, order_id, exchange, tradingsymbol, product, side, filled_quantity,
                           traded_quantity, observed_at)
select account_id, day, order_id, exchange, tradingsymbol, coalesce(product, ''), side, filled_quantity, traded.quantity,
       observed_at
from orders, lateral (
    select coalesce(sum(trades.quantity), 0) as quantity from trades
    where trades.account_id = orders.account_id and trades.order_id = orders.order_id and trades.day >= orders.day
      and not exists (
        select from orders later
        where later.account_id = orders.account_id and later.order_id = orders.order_id
          and later.day > orders.day and later.day <= trades.day)) listed, lateral (
    select listed.quantity + coalesce(sum(corrections.quantity), 0) as quantity from corrections
    where corrections.account_id = orders.account_id and corrections.order_id = orders.order_id
      and corrections.order_id <> '' and corrections.day >= orders.day) traded
where account_id = %(account)s and order_id = any (%(order_ids)s) and filled_quantity > traded.quantity

-- reconciled_answers: when an account was last asked for what is compared, and who its user is
select kind, asked_at, answered_at, broker_user
from account_snapshots join trading_accounts using (account_id)
where account_id = %(account)s and kind in ('orders', 'trades', 'positions', 'holdings')

-- reconciled_lines: what is open in our books or stands at the broker, with what we know of it on this day
with line as (
    select exchange, tradingsymbol, product from books
    where account_id = %(account)s and not draft and quantity <> 0
    union select exchange, tradingsymbol, product from positions where account_id = %(account)s
    union select exchange, tradingsymbol, coalesce(product, 'CNC') from holdings where account_id = %(account)s
    union select exchange, tradingsymbol, 'MTF' from holdings
          where account_id = %(account)s and coalesce(raw #>> '{mtf,quantity}', '') not in ('', '0')),
today as (
    select exchange, tradingsymbol, product,
           coalesce(sum(quantity) filter (where side = 'BUY'), 0) as bought,
           coalesce(sum(quantity * price) filter (where side = 'BUY'), 0) as bought_value,
           coalesce(sum(quantity) filter (where side = 'SELL'), 0) as sold,
           coalesce(sum(quantity * price) filter (where side = 'SELL'), 0) as sold_value
    from trades where account_id = %(account)s and day = %(day)s group by exchange, tradingsymbol, product)
select line.exchange, line.tradingsymbol, line.product, own.books, own.quantity, own.open_value, own.multiplier,
       own.bought + own.opened > 0 and own.sold + own.shorted > 0 as closes, own.last_at,
       today.bought, today.bought_value, today.sold, today.sold_value,
       net.account_id is not null as has_net, net.quantity as net_quantity, net.overnight_quantity, net.average_price,
       net.last_price, net.pnl, net.multiplier as net_multiplier, net.buy_quantity, net.sell_quantity,
       held.account_id is not null as has_held, held.quantity as held_quantity, held.t1_quantity,
       held.collateral_quantity, held.opening_quantity, held.average_price as held_price,
       case when line.product = 'MTF' and coalesce(held.product, 'CNC') <> 'MTF' then held.raw -> 'mtf' end as mtf
from line
left join lateral (
    select count(*) as books, coalesce(sum(quantity), 0) as quantity, coalesce(sum(fifo_value), 0) as open_value,
           coalesce(max(multiplier), 1) as multiplier, coalesce(sum(bought_quantity), 0) as bought,
           coalesce(sum(sold_quantity), 0) as sold, max(last_at) as last_at,
           coalesce(sum(opening_quantity) filter (where opening_quantity > 0), 0) as opened,
           coalesce(-sum(opening_quantity) filter (where opening_quantity < 0), 0) as shorted
    from books
    where books.account_id = %(account)s and books.exchange = line.exchange
      and books.tradingsymbol = line.tradingsymbol and books.product = line.product and not books.draft) own on true
left join today on today.exchange = line.exchange and today.tradingsymbol = line.tradingsymbol
               and today.product = line.product
left join positions net on net.account_id = %(account)s and net.exchange = line.exchange
                       and net.tradingsymbol = line.tradingsymbol and net.product = line.product
left join holdings held on held.account_id = %(account)s and held.exchange = line.exchange
                       and held.tradingsymbol = line.tradingsymbol
                       and line.product in (coalesce(held.product, 'CNC'), 'MTF')
order by line.exchange, line.tradingsymbol, line.product

-- read_missing_fills: orders of an account whose fills did not all come
select day, order_id, exchange, tradingsymbol, product, side, filled_quantity, traded_quantity, observed_at
from missing_fills where account_id = %(account)s order by day, order_id

-- foreign_orders: orders of a day that were filled and that somebody else than the account's user had placed
select day, order_id, exchange, tradingsymbol, coalesce(product, '') as product, side, filled_quantity,
       raw ->> 'placed_by' as placed_by
from orders
where account_id = %(account)s and day = %(day)s and filled_quantity > 0 and raw ->> 'placed_by' <> %(user)s
order by order_id

-- moves_of_lines: when each of these lines last moved at the broker (by its keys in the changes), and in our trades
select line.exchange, line.tradingsymbol, line.product,
       (select max(observed_at) from account_changes told
        where told.account_id = %(account)s and told.kind in ('positions', 'holdings') and told.key = any (line.keys))
           as theirs,
       (select max(observed_at) from trades
        where trades.account_id = %(account)s and trades.exchange = any (line.exchanges)
          and trades.tradingsymbol = line.tradingsymbol and trades.product = line.product) as ours
from jsonb_to_recordset(%(rows)s::jsonb) as line (exchange text, tradingsymbol text, product text, keys text[],
                                                  exchanges text[])

-- drop_divergences: what does not agree is told anew
delete from divergences where account_id = %(account)s

-- keep_divergences: what does not agree
insert into divergences (account_id, exchange, tradingsymbol, product, type, ours, theirs, settling, evidence, observed_at)
select %(account)s, exchange, tradingsymbol, product, type, ours, theirs, settling, evidence, %(observed_at)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    exchange text, tradingsymbol text, product text, type text, ours numeric, theirs numeric, settling boolean,
    evidence jsonb)

-- api_divergences: a page of what does not agree of an account, behind a place in that order
select account_id, exchange, tradingsymbol, product, type, ours, theirs, settling, evidence, observed_at
from divergences
where account_id = %(account)s
  and (%(types)s::text[] is null or type = any (%(types)s))
  and (%(settling)s::boolean is null or settling = %(settling)s)
  and (%(tradingsymbol)s::text is null or tradingsymbol = %(tradingsymbol)s)
  and (%(after_exchange)s::text is null or (exchange, tradingsymbol, product, type)
       > (%(after_exchange)s::text, %(after_symbol)s::text, %(after_product)s::text, %(after_type)s::text))
order by exchange, tradingsymbol, product, type
limit %(limit)s

-- api_divergence_counts: how much of an account does not agree, by type
select type, count(*) as divergences from divergences where account_id = %(account)s and not settling
group by type order by type

-- divergence_sums: how much does not agree, by account and type; of accounts that are pulled
select account_id, type, count(*) as divergences from divergences
where not settling
  and not exists (select from trading_accounts held where held.account_id = divergences.account_id and not held.active)
group by account_id, type order by account_id, type
