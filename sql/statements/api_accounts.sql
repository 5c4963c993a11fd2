-- account_health: a page of the accounts by name, behind a place in that order, with the runs since the last that brought all
select account_id, broker, broker_user, name, active, last_sync_at, last_sync_status, last_sync_error, last_success_at,
       trades_count, orders_count,
       (select count(*) from sync_runs run
        where run.account_id = held.account_id
          and run.n > coalesce((select good.n from sync_runs good where good.account_id = held.account_id and good.success
                                order by good.n desc limit 1), 0)) as failures
from trading_accounts held
where (%(account)s::text is null or account_id = %(account)s)
  and (%(after_account)s::text is null or account_id > %(after_account)s)
order by account_id
limit %(limit)s

-- account_kinds: when the brokers of these accounts were last asked for each kind
select account_id, kind, asked_at, answered_at as synced_at, rows
from account_snapshots where account_id = any (%(accounts)s::text[])
order by account_id, kind

-- api_account_kind: an account, and when its broker was last asked for one kind
select held.account_id, held.broker, held.active, asked_at, answered_at as synced_at,
       coalesce((select run.n from sync_runs run where run.account_id = held.account_id order by run.n desc limit 1), 0)
           as last_run_n
from trading_accounts held
left join account_snapshots told on told.account_id = held.account_id and told.kind = %(kind)s
where held.account_id = %(account)s

-- answering_runs: runs that answer a request for a kind, or began after it, and what came of the kind; the newest last
select asked @> %(asked)s::jsonb as own, outcome, coalesce((results -> %(kind)s ->> 'ok')::boolean, false) as ok,
       coalesce(nullif(results -> %(kind)s ->> 'error', ''), error, '') as error
from sync_runs
where account_id = %(account)s and n > %(after_n)s
  and (asked @> %(asked)s::jsonb or started_at >= %(since)s and results ? %(kind)s)
order by n

-- api_orders: a page of an account's orders, the newest day and the highest number first, behind a place in that order
select account_id, day, order_id, exchange_order_id, parent_order_id, exchange, tradingsymbol, instrument_token, side,
       order_type, product, variety, validity, quantity, disclosed_quantity, price, trigger_price, filled_quantity,
       pending_quantity, cancelled_quantity, average_price, status, status_message, tag, tags, strategy_id,
       strategy_reason, created_at, updated_at, exchange_at, observed_at, absent_since,
       case when %(raw)s then raw end as raw
from orders
where account_id = %(account)s
  and (%(order_id)s::text is null or order_id = %(order_id)s)
  and (%(statuses)s::text[] is null or status = any (%(statuses)s))
  and (%(open)s::boolean is null or (status not in ('COMPLETE', 'CANCELLED', 'REJECTED')) = %(open)s)
  and (%(exchange)s::text is null or exchange = %(exchange)s)
  and (%(tradingsymbol)s::text is null or tradingsymbol = %(tradingsymbol)s)
  and (%(product)s::text is null or product = %(product)s)
  and (%(side)s::text is null or side = %(side)s)
  and (%(strategy_id)s::text is null or strategy_id = %(strategy_id)s)
  and (not %(unattributed)s::boolean or strategy_id is null)
  and (%(from)s::timestamptz is null
       or day >= (%(from)s::timestamptz at time zone 'Asia/Kolkata')::date
          and coalesce(created_at, observed_at) >= %(from)s::timestamptz)
  and (%(to)s::timestamptz is null
       or day <= (%(to)s::timestamptz at time zone 'Asia/Kolkata')::date
          and coalesce(created_at, observed_at) <= %(to)s::timestamptz)
  and (%(after_day)s::date is null or (day, order_id) < (%(after_day)s::date, %(after_order)s::text))
order by day desc, order_id desc
limit %(limit)s

-- api_order_history: the states in which an order was seen, the first one first
select status, status_message, quantity, price, trigger_price, filled_quantity, pending_quantity, cancelled_quantity,
       average_price, told_at, observed_at
from order_history
where account_id = %(account)s and day = %(day)s and order_id = %(order_id)s
order by n

-- api_trades: a page of an account's trades, the newest first, behind a place in that order
select account_id, day, exchange, order_id, trade_id, exchange_order_id, time, tradingsymbol, instrument_token, product,
       side, quantity, price, strategy_id, strategy_reason, observed_at, absent_since,
       case when %(raw)s then raw end as raw
from trades
where account_id = %(account)s
  and (%(order_id)s::text is null or order_id = %(order_id)s)
  and (%(trade_id)s::text is null or trade_id = %(trade_id)s)
  and (%(exchange)s::text is null or exchange = %(exchange)s)
  and (%(tradingsymbol)s::text is null or tradingsymbol = %(tradingsymbol)s)
  and (%(product)s::text is null or product = %(product)s)
  and (%(side)s::text is null or side = %(side)s)
  and (%(strategy_id)s::text is null or strategy_id = %(strategy_id)s)
  and (not %(unattributed)s::boolean or strategy_id is null)
  and (%(from)s::timestamptz is null or time >= %(from)s::timestamptz)
  and (%(to)s::timestamptz is null or time <= %(to)s::timestamptz)
  and (%(after_time)s::timestamptz is null
       or (time, exchange, order_id, trade_id)
          < (%(after_time)s::timestamptz, %(after_exchange)s::text, %(after_order)s::text, %(after_trade)s::text))
order by time desc, exchange desc, order_id desc, trade_id desc
limit %(limit)s

-- api_order_trades: the trades of one order, the first one first
select account_id, day, exchange, order_id, trade_id, exchange_order_id, time, tradingsymbol, instrument_token, product,
       side, quantity, price, strategy_id, strategy_reason, observed_at, absent_since, raw
from trades
where account_id = %(account)s and day = %(day)s and order_id = %(order_id)s
order by time, exchange, trade_id
limit %(limit)s

-- api_positions_net: a page of an account's net positions, behind a place in the order of exchange, symbol, product
select account_id, exchange, tradingsymbol, product, instrument_token, quantity, overnight_quantity, multiplier,
       average_price, close_price, last_price, pnl, day_pnl, realised, unrealised, buy_quantity, buy_value,
       sell_quantity, sell_value, strategy_id, case when %(raw)s then raw end as raw
from positions
where account_id = %(account)s
  and (%(open)s::boolean is null or (quantity <> 0) = %(open)s)
  and (%(exchange)s::text is null or exchange = %(exchange)s)
  and (%(tradingsymbol)s::text is null or tradingsymbol = %(tradingsymbol)s)
  and (%(product)s::text is null or product = %(product)s)
  and (%(side)s::text is null or sign(quantity) = case %(side)s when 'BUY' then 1 else -1 end)
  and (%(strategy_id)s::text is null or strategy_id = %(strategy_id)s)
  and (not %(unattributed)s::boolean or strategy_id is null)
  and (%(after_exchange)s::text is null
       or (exchange, tradingsymbol, product)
          > (%(after_exchange)s::text, %(after_symbol)s::text, %(after_product)s::text))
order by exchange, tradingsymbol, product
limit %(limit)s

-- api_positions_day: a page of what an account traded today, behind a place in the order of exchange, symbol, product
select account_id, exchange, tradingsymbol, product, instrument_token, quantity, overnight_quantity, multiplier,
       average_price, close_price, last_price, pnl, day_pnl, realised, unrealised, buy_quantity, buy_value,
       sell_quantity, sell_value, strategy_id, case when %(raw)s then raw end as raw
from day_positions
where account_id = %(account)s
  and (%(open)s::boolean is null or (quantity <> 0) = %(open)s)
  and (%(exchange)s::text is null or exchange = %(exchange)s)
  and (%(tradingsymbol)s::text is null or tradingsymbol = %(tradingsymbol)s)
  and (%(product)s::text is null or product = %(product)s)
  and (%(side)s::text is null or sign(quantity) = case %(side)s when 'BUY' then 1 else -1 end)
  and (%(strategy_id)s::text is null or strategy_id = %(strategy_id)s)
  and (not %(unattributed)s::boolean or strategy_id is null)
  and (%(after_exchange)s::text is null
       or (exchange, tradingsymbol, product)
          > (%(after_exchange)s::text, %(after_symbol)s::text, %(after_product)s::text))
order by exchange, tradingsymbol, product
limit %(limit)s

-- api_holdings: a page of an account's shares, behind a place in the order of exchange and symbol
select account_id, exchange, tradingsymbol, isin, instrument_token, product, quantity, t1_quantity, realised_quantity,
       used_quantity, authorised_quantity, opening_quantity, short_quantity, collateral_quantity, collateral_type,
       average_price, close_price, last_price, pnl, day_change, case when %(raw)s then raw end as raw
from holdings
where account_id = %(account)s
  and (%(exchange)s::text is null or exchange = %(exchange)s)
  and (%(tradingsymbol)s::text is null or tradingsymbol = %(tradingsymbol)s)
  and (%(isin)s::text is null or isin = %(isin)s)
  and (%(after_exchange)s::text is null
       or (exchange, tradingsymbol) > (%(after_exchange)s::text, %(after_symbol)s::text))
order by exchange, tradingsymbol
limit %(limit)s

-- api_margins: a page of an account's funds by segment, behind a place in that order
select account_id, segment, enabled, net, available, utilised, case when %(raw)s then raw end as raw
from margins
where account_id = %(account)s
  and (%(segment)s::text is null or segment = %(segment)s)
  and (%(after_segment)s::text is null or segment > %(after_segment)s)
order by segment
limit %(limit)s

-- api_account_counts: how many active accounts stand how by their last run
select coalesce(last_sync_status, 'never') as status, count(*) as accounts
from trading_accounts where active group by 1 order by 1

-- api_unread_rows: answers with rows that could not be read and that nobody has set aside
select count(*) as events from parked where projector = 'accounts' and state <> 'set_aside'

-- api_sync_runs: a page of the runs that are over, the newest first, before a place in that order
select account_id, run, trigger, started_at, finished_at, outcome, success, error, kinds, counts, results, asked, n
from sync_runs
where (%(account)s::text is null or account_id = %(account)s)
  and (%(outcome)s::text is null or outcome = %(outcome)s)
  and (%(before_n)s::bigint is null or n < %(before_n)s)
order by n desc
limit %(limit)s

-- changes_standing: how far the changes go: behind all events that are committed, and the newest change
select (coalesce((select n from projection_checkpoints where projector = 'accounts' and stream = 'accounts'), 0) + 1)
           * %(per_event)s::bigint - 1 as "end",
       coalesce((select cursor from account_changes order by cursor desc limit 1), 0) as last

-- place_before_newest: the place behind which so many changes are the newest; 0 where there are no more than that
select coalesce((select cursor from account_changes
                 where (%(account)s::text is null or account_id = %(account)s)
                   and (%(kinds)s::text[] is null or kind = any (%(kinds)s))
                 order by cursor desc offset %(newest)s limit 1), 0) as place

-- api_changes: changes of all accounts behind a place
select cursor, account_id, kind, key, change, before, after, observed_at from account_changes
where cursor > %(after)s and (%(kinds)s::text[] is null or kind = any (%(kinds)s))
order by cursor limit %(limit)s

-- api_changes_of_account: changes of one account behind a place
select cursor, account_id, kind, key, change, before, after, observed_at from account_changes
where account_id = %(account)s and cursor > %(after)s and (%(kinds)s::text[] is null or kind = any (%(kinds)s))
order by cursor limit %(limit)s

-- api_account_active: whether an account is pulled; no row for one that nobody knows
select active from trading_accounts where account_id = %(account)s

-- unattributed_trades: how many trades of each account belong to no strategy
select account_id, count(*) filter (where strategy_id is null) as trades from trades group by account_id

-- doubled_trades: trades that a broker told twice in one answer, under one key and with another content, kept aside
select count(*) as trades from parked_events
where projector = 'accounts' and strpos(error, ' of the trades of ') > 0 and strpos(error, 'one row of a key') > 0
