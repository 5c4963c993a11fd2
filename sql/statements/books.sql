-- take_decision: a forwarded request is taken in, once; no row where it was
insert into decisions as held (stream, n) values (%(stream)s, %(n)s)
on conflict (stream) do update set n = excluded.n where held.n < excluded.n
returning n

-- set_strategy: a strategy as its user describes it
insert into strategies (strategy_id, name, description, active, set_at)
values (%(strategy)s, %(name)s, %(description)s, %(active)s, %(at)s)
on conflict (strategy_id) do update set
    name = excluded.name, description = excluded.description, active = excluded.active, set_at = excluded.set_at

-- end_rule: a rule of this name counts no more
update attribution_rules set ended_at = %(at)s where rule_id = %(rule)s and ended_at is null and draft = any (%(drafts)s)

-- set_rule: a rule counts from now on, for the past as well
insert into attribution_rules (rule_id, draft, n, strategy_id, kind, pattern, account_id, priority, valid_from, valid_to,
                               set_at)
values (%(rule)s, %(draft)s, %(n)s, %(strategy)s, %(kind)s, %(pattern)s, %(account)s, %(priority)s, %(valid_from)s,
        %(valid_to)s, %(at)s)

-- read_rules: the rules that count now, and the drafts
select rule_id as rule, strategy_id as strategy, kind, pattern, account_id as account, priority, valid_from, valid_to,
       draft, n
from attribution_rules where ended_at is null

-- set_action: a corporate action
insert into corporate_actions (action_id, kind, exchange, tradingsymbol, day, ratio_old, ratio_new)
values (%(action)s, %(kind)s, %(exchange)s, %(tradingsymbol)s, %(day)s, %(ratio_old)s, %(ratio_new)s)
on conflict (action_id) do update set
    kind = excluded.kind, exchange = excluded.exchange, tradingsymbol = excluded.tradingsymbol, day = excluded.day,
    ratio_old = excluded.ratio_old, ratio_new = excluded.ratio_new

-- remove_action: a corporate action that never was
delete from corporate_actions where action_id = %(action)s

-- read_action: what a corporate action was about until now
select exchange, tradingsymbol from corporate_actions where action_id = %(action)s

-- read_actions: all corporate actions
select action_id, kind, exchange, tradingsymbol, day, ratio_old, ratio_new from corporate_actions

-- set_correction: a fill that was told by hand
insert into corrections (account_id, fill_id, day, time, exchange, tradingsymbol, product, side, quantity, price,
                         order_id, strategy_id, reason, set_at, n)
values (%(account)s, %(fill)s, %(day)s, %(time)s, %(exchange)s, %(tradingsymbol)s, %(product)s, %(side)s, %(quantity)s,
        %(price)s, %(order_id)s, %(strategy)s, %(reason)s, %(at)s, %(n)s)
on conflict (account_id, fill_id) do update set
    day = excluded.day, time = excluded.time, exchange = excluded.exchange, tradingsymbol = excluded.tradingsymbol,
    product = excluded.product, side = excluded.side, quantity = excluded.quantity, price = excluded.price,
    order_id = excluded.order_id, strategy_id = excluded.strategy_id, reason = excluded.reason,
    set_at = excluded.set_at, n = excluded.n

-- remove_correction: a fill that was told by hand never was
delete from corrections where account_id = %(account)s and fill_id = %(fill)s

-- read_correction: what a fill told by hand was about until now
select exchange, tradingsymbol, product, order_id from corrections
where account_id = %(account)s and fill_id = %(fill)s

-- set_tariff: a broker's table of charges
insert into tariffs (broker, shipped, text, sha256, n) values (%(broker)s, %(shipped)s, %(text)s, %(sha256)s, %(n)s)
on conflict (broker, shipped) do update set text = excluded.text, sha256 = excluded.sha256, n = excluded.n

-- remove_tariff: a user takes a table of charges back
delete from tariffs where broker = %(broker)s and shipped = %(shipped)s

-- read_tariffs: the table of charges of each account
select distinct on (account_id) account_id, sha256, text
from trading_accounts join tariffs using (broker) where account_id = any (%(accounts)s) order by account_id, shipped

-- broker_accounts: the accounts of a broker
select account_id from trading_accounts where broker = %(broker)s

-- all_accounts: every account that has orders, trades or lots
select account_id from trading_accounts order by account_id

-- learn_multipliers: units of the price in one of quantity; gives those that are others than was reckoned with
with told as (
    select distinct on (exchange, tradingsymbol) exchange, tradingsymbol, multiplier
    from jsonb_to_recordset(%(rows)s::jsonb) as told (exchange text, tradingsymbol text, multiplier numeric)
    order by exchange, tradingsymbol, multiplier desc),
other as (
    select told.*, held.multiplier is null and told.multiplier = 1 as is_as_taken
    from told left join multipliers held using (exchange, tradingsymbol)
    where held.multiplier is distinct from told.multiplier),
kept as (
    insert into multipliers (exchange, tradingsymbol, multiplier) select exchange, tradingsymbol, multiplier from other
    on conflict (exchange, tradingsymbol) do update set multiplier = excluded.multiplier)
select exchange, tradingsymbol from other where not is_as_taken order by exchange, tradingsymbol

-- read_multipliers: units of the price in one of quantity, where it is not 1
select exchange, tradingsymbol, multiplier from multipliers where multiplier <> 1

-- open_lots: what was there before the first fill that is known
insert into opening_lots (account_id, exchange, tradingsymbol, product, day, quantity, price, n)
select %(account)s, exchange, tradingsymbol, product, %(day)s, quantity, price, %(n)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (exchange text, tradingsymbol text, product text, quantity numeric,
                                                  price numeric)
where not exists (
    select from trades
    where trades.account_id = %(account)s and trades.day < %(day)s
      -- shares are one over both exchanges
      and (trades.exchange = told.exchange or told.product in ('CNC', 'MTF') and trades.exchange in ('NSE', 'BSE'))
      and trades.tradingsymbol = told.tradingsymbol and trades.product = told.product)
on conflict do nothing

-- read_openings: the lots of an account that were there before
select exchange, tradingsymbol, product, day, quantity, price, strategy_id from opening_lots
where account_id = %(account)s

-- attribute_openings: whose the lots are that were there before
update opening_lots set strategy_id = told.strategy_id
from jsonb_to_recordset(%(rows)s::jsonb) as told (exchange text, tradingsymbol text, product text, strategy_id text)
where opening_lots.account_id = %(account)s and opening_lots.exchange = told.exchange
  and opening_lots.tradingsymbol = told.tradingsymbol and opening_lots.product = told.product

-- told_orders: what some orders of an account are attributed by, and how they are now
select day, day as order_day, order_id, exchange, tradingsymbol, tags, strategy_id, strategy_reason from orders
where account_id = %(account)s and order_id = any (%(order_ids)s)

-- all_told_orders: the same of all orders of an account
select day, day as order_day, order_id, exchange, tradingsymbol, tags, strategy_id, strategy_reason from orders
where account_id = %(account)s

-- attribute_orders: whose orders are
update orders set strategy_id = told.strategy_id, strategy_reason = told.strategy_reason
from jsonb_to_recordset(%(rows)s::jsonb) as told (day date, order_id text, strategy_id text, strategy_reason text)
where orders.account_id = %(account)s and orders.day = told.day and orders.order_id = told.order_id

-- told_trades: what some trades of an account are attributed by, and how they are now
select trades.day, trades.exchange, trades.order_id, trades.trade_id, trades.tradingsymbol, trades.product, trades.fold,
       trades.strategy_id, trades.strategy_reason, trades.draft_strategy_id, coalesce(known.tags, '{}') as tags,
       known.day as order_day
from trades left join lateral (
    select day, tags from orders
    where orders.account_id = trades.account_id and orders.order_id = trades.order_id and orders.day <= trades.day
    order by orders.day desc limit 1) known on true
where account_id = %(account)s and order_id = any (%(order_ids)s)

-- all_told_trades: the same of all trades of an account
select trades.day, trades.exchange, trades.order_id, trades.trade_id, trades.tradingsymbol, trades.product, trades.fold,
       trades.strategy_id, trades.strategy_reason, trades.draft_strategy_id, coalesce(known.tags, '{}') as tags,
       known.day as order_day
from trades left join lateral (
    select day, tags from orders
    where orders.account_id = trades.account_id and orders.order_id = trades.order_id and orders.day <= trades.day
    order by orders.day desc limit 1) known on true
where account_id = %(account)s

-- attribute_trades: whose trades are
update trades set strategy_id = told.strategy_id, strategy_reason = told.strategy_reason,
                  draft_strategy_id = told.draft_strategy_id
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    day date, exchange text, order_id text, trade_id text, strategy_id text, strategy_reason text, draft_strategy_id text)
where trades.account_id = %(account)s and trades.day = told.day and trades.exchange = told.exchange
  and trades.order_id = told.order_id and trades.trade_id = told.trade_id

-- new_fills: the trades of an account that are in no book yet, or were told otherwise since
select day, exchange, order_id, trade_id, time, tradingsymbol, product, side, quantity, price, strategy_id,
       draft_strategy_id, fold
from trades where account_id = %(account)s and fold <> 1

-- line_fills: all trades of some lines of an account, and the fills that were told by hand
with line as (select exchange, tradingsymbol, product
              from jsonb_to_recordset(%(rows)s::jsonb) as line (exchange text, tradingsymbol text, product text))
select day, exchange, order_id, trade_id, time, tradingsymbol, product, side, quantity, price, strategy_id,
       draft_strategy_id
from trades
where account_id = %(account)s and (exchange, tradingsymbol, product) in (select * from line)
union all
select day, exchange, order_id, 'correction:' || fill_id, time, tradingsymbol, product, side, quantity, price,
       strategy_id, strategy_id
from corrections
where account_id = %(account)s and (exchange, tradingsymbol, product) in (select * from line)

-- folded: the new trades of an account are in their books
update trades set fold = 1 where account_id = %(account)s and fold <> 1

-- lines_of_symbol: the lines of all accounts in an instrument
select distinct account_id, exchange, tradingsymbol, product from books
where exchange = %(exchange)s and tradingsymbol = %(tradingsymbol)s

-- lines_of_account: every line of an account
select exchange, tradingsymbol, product from trades where account_id = %(account)s
union select exchange, tradingsymbol, product from opening_lots where account_id = %(account)s
union select exchange, tradingsymbol, product from corrections where account_id = %(account)s
union select exchange, tradingsymbol, product from books where account_id = %(account)s

-- days_of_symbol: on which days which account traded an instrument
select distinct account_id, day from trades
where account_id in (select account_id from trading_accounts)  -- each by its index
  and exchange = %(exchange)s and tradingsymbol = %(tradingsymbol)s

-- days_of_account: on which days an account traded
select distinct day from trades where account_id = %(account)s

-- read_books: the books of some lines of an account
select strategy_id, exchange, tradingsymbol, product, draft, closed, state::text as state from books
where account_id = %(account)s
  and (exchange, tradingsymbol, product) in (
      select exchange, tradingsymbol, product
      from jsonb_to_recordset(%(rows)s::jsonb) as line (exchange text, tradingsymbol text, product text))

-- has_draft_books: whether there are books by draft rules
select exists (select from books where draft) as found

-- drop_books: the books of some lines are made anew
delete from books
where account_id = %(account)s
  and (exchange, tradingsymbol, product) in (
      select exchange, tradingsymbol, product
      from jsonb_to_recordset(%(rows)s::jsonb) as line (exchange text, tradingsymbol text, product text))

-- drop_closed_lots: what was closed of some lines is made anew
delete from closed_lots
where account_id = %(account)s
  and (exchange, tradingsymbol, product) in (
      select exchange, tradingsymbol, product
      from jsonb_to_recordset(%(rows)s::jsonb) as line (exchange text, tradingsymbol text, product text))

-- keep_books: the books as they stand now
insert into books (
    account_id, strategy_id, exchange, tradingsymbol, product, draft, multiplier, quantity, fifo_price, average_price,
    fifo_value, average_value, realised_fifo, realised_average, cash_flow, opening_quantity, opening_value,
    bought_quantity, bought_value, sold_quantity, sold_value, closed, last_at, state)
select %(account)s, strategy_id, exchange, tradingsymbol, product, draft, multiplier, quantity, fifo_price,
       average_price, fifo_value, average_value, realised_fifo, realised_average, cash_flow, opening_quantity,
       opening_value, bought_quantity, bought_value, sold_quantity, sold_value, closed, last_at, state
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    strategy_id text, exchange text, tradingsymbol text, product text, draft boolean, multiplier numeric,
    quantity numeric, fifo_price numeric, average_price numeric, fifo_value numeric, average_value numeric,
    realised_fifo numeric, realised_average numeric, cash_flow numeric, opening_quantity numeric, opening_value numeric,
    bought_quantity numeric, bought_value numeric, sold_quantity numeric, sold_value numeric, closed integer,
    last_at timestamptz, state jsonb)
on conflict (account_id, strategy_id, exchange, tradingsymbol, product, draft) do update set
    multiplier = excluded.multiplier, quantity = excluded.quantity, fifo_price = excluded.fifo_price,
    average_price = excluded.average_price, fifo_value = excluded.fifo_value, average_value = excluded.average_value,
    realised_fifo = excluded.realised_fifo, realised_average = excluded.realised_average,
    cash_flow = excluded.cash_flow, opening_quantity = excluded.opening_quantity,
    opening_value = excluded.opening_value, bought_quantity = excluded.bought_quantity,
    bought_value = excluded.bought_value, sold_quantity = excluded.sold_quantity, sold_value = excluded.sold_value,
    closed = excluded.closed, last_at = excluded.last_at, state = excluded.state

-- add_closed_lots: what closed what
insert into closed_lots (
    account_id, strategy_id, exchange, tradingsymbol, product, draft, place, trip, day, quantity, open_value,
    close_value, realised, realised_average, opened_at, opened_order_id, opened_trade_id, closed_at, closed_order_id,
    closed_trade_id)
select %(account)s, strategy_id, exchange, tradingsymbol, product, draft, place, trip, day, quantity, open_value,
       close_value, realised, realised_average, opened_at, opened_order_id, opened_trade_id, closed_at, closed_order_id,
       closed_trade_id
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    strategy_id text, exchange text, tradingsymbol text, product text, draft boolean, place integer, trip integer,
    day date, quantity numeric, open_value numeric, close_value numeric, realised numeric, realised_average numeric,
    opened_at timestamptz, opened_order_id text, opened_trade_id text, closed_at timestamptz, closed_order_id text, closed_trade_id text)

-- drop_round_trips: the round trips of some lines are made anew
delete from round_trips
where account_id = %(account)s
  and (exchange, tradingsymbol, product) in (
      select exchange, tradingsymbol, product
      from jsonb_to_recordset(%(rows)s::jsonb) as line (exchange text, tradingsymbol text, product text))

-- keep_round_trips: what ended round trips brought, of days charged anew and of lines folded anew; what differs is written
with told as (
    select strategy_id, exchange, tradingsymbol, product, trip from closed_lots
    where account_id = %(account)s and not draft and day = any (%(days)s)
    union
    select strategy_id, exchange, tradingsymbol, product, trip from closed_lots
    where account_id = %(account)s and not draft and day > any (%(days)s)
      and (opened_at at time zone 'Asia/Kolkata')::date = any (%(days)s)
    union
    select strategy_id, exchange, tradingsymbol, product, trip
    from jsonb_to_recordset(%(rows)s::jsonb) as line (exchange text, tradingsymbol text, product text)
    join closed_lots using (exchange, tradingsymbol, product)
    where account_id = %(account)s and not draft),
ended as (
    select strategy_id, exchange, tradingsymbol, product, told.trip, multiplier
    from told join books using (strategy_id, exchange, tradingsymbol, product)
    where account_id = %(account)s and not draft and not (quantity <> 0 and told.trip = (state ->> 'trip')::integer))
insert into round_trips as held (account_id, strategy_id, exchange, tradingsymbol, product, trip, day, ended_at, realised,
                                 charges)
select %(account)s, strategy_id, exchange, tradingsymbol, product, trip, day, ended_at, realised, charges
from ended cross join lateral (
    select max(day) as day, max(closed_at) as ended_at, sum(realised) as realised,
           round(sum(coalesce(abs(open_value) * opening.cost / ended.multiplier, 0)
                     + coalesce(abs(close_value) * closing.cost / ended.multiplier, 0)), 8) as charges
    from closed_lots lot
    left join lateral (
        select total / nullif(quantity * price, 0) as cost
        from trades join trade_charges using (account_id, day, exchange, order_id, trade_id)
        where account_id = lot.account_id and day = (lot.opened_at at time zone 'Asia/Kolkata')::date
          and exchange = lot.exchange and order_id = lot.opened_order_id and trade_id = lot.opened_trade_id
        limit 1) opening on true  -- at most one; said so that each is looked up by its key
    left join lateral (
        select total / nullif(quantity * price, 0) as cost
        from trades join trade_charges using (account_id, day, exchange, order_id, trade_id)
        where account_id = lot.account_id and day = lot.day
          and exchange = lot.exchange and order_id = lot.closed_order_id and trade_id = lot.closed_trade_id
        limit 1) closing on true
    where not draft and lot.account_id = %(account)s and lot.strategy_id = ended.strategy_id
      and lot.exchange = ended.exchange and lot.tradingsymbol = ended.tradingsymbol
      and lot.product = ended.product and lot.trip = ended.trip) brought
on conflict (account_id, strategy_id, exchange, tradingsymbol, product, trip) do update set
    day = excluded.day, ended_at = excluded.ended_at, realised = excluded.realised, charges = excluded.charges
where (held.day, held.ended_at, held.realised, held.charges)
      is distinct from (excluded.day, excluded.ended_at, excluded.realised, excluded.charges)

-- own_positions: whose each position is, where all of it is one strategy's
with own as materialized (
    select exchange, tradingsymbol, product, case when count(*) = 1 then nullif(max(strategy_id), 'none') end as strategy_id
    from books where account_id = %(account)s and quantity <> 0 and not draft
    group by exchange, tradingsymbol, product)
update positions set strategy_id = found.strategy_id
from (select exchange, tradingsymbol, product, own.strategy_id
      from positions net left join own using (exchange, tradingsymbol, product) where account_id = %(account)s) found
where positions.account_id = %(account)s and positions.exchange = found.exchange
  and positions.tradingsymbol = found.tradingsymbol and positions.product = found.product
  and positions.strategy_id is distinct from found.strategy_id

-- day_trades: the trades of an account's day, as charges ask
select exchange, order_id, trade_id, time, tradingsymbol, product, side, quantity, price from trades
where account_id = %(account)s and day = %(day)s

-- drop_charges: the charges of an account's day are reckoned anew
delete from trade_charges where account_id = %(account)s and day = %(day)s

-- drop_uncharged: what could not be reckoned of an account's day is tried again
delete from uncharged where account_id = %(account)s and day = %(day)s

-- keep_charges: what the trades of an account's day cost
insert into trade_charges (account_id, day, exchange, order_id, trade_id, segment, brokerage, transaction_tax,
                           transaction_tax_type, exchange_charge, sebi, stamp, ipft, clearing, gst, dp, total)
select %(account)s, %(day)s, exchange, order_id, trade_id, segment, brokerage, transaction_tax, transaction_tax_type,
       exchange_charge, sebi, stamp, ipft, clearing, gst, dp, total
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    exchange text, order_id text, trade_id text, segment text, brokerage numeric, transaction_tax numeric,
    transaction_tax_type text, exchange_charge numeric, sebi numeric, stamp numeric, ipft numeric, clearing numeric,
    gst numeric, dp numeric, total numeric)

-- keep_uncharged: charges that cannot be reckoned, and why
insert into uncharged (account_id, day, exchange, error)
select %(account)s, %(day)s, exchange, error from jsonb_to_recordset(%(rows)s::jsonb) as told (exchange text, error text)
