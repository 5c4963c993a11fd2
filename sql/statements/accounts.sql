-- last_snapshot: the newest answer of a kind, that the next one is compared with
select asked_ns, answered_at, sha256, n, body_n, body from account_snapshots
where account_id = %(account)s and kind = %(kind)s

-- keep_snapshot: this answer is the newest one
insert into account_snapshots (account_id, kind, asked_at, answered_at, asked_ns, sha256, rows, n, body_n, body)
values (%(account)s, %(kind)s, %(asked_at)s, %(answered_at)s, %(asked_ns)s, %(sha256)s, %(rows)s, %(n)s, %(n)s, %(body)s)
on conflict (account_id, kind) do update set
    asked_at = excluded.asked_at, answered_at = excluded.answered_at, asked_ns = excluded.asked_ns,
    sha256 = excluded.sha256, rows = excluded.rows, n = excluded.n, body_n = excluded.body_n, body = excluded.body

-- repeat_snapshot: the newest answer is the one before, given again
update account_snapshots set asked_at = %(asked_at)s, answered_at = %(answered_at)s, asked_ns = %(asked_ns)s, n = %(n)s
where account_id = %(account)s and kind = %(kind)s

-- know_account: an account as the worker describes it
insert into trading_accounts (account_id, broker, broker_user, name, active, n)
values (%(account)s, %(broker)s, %(user)s, %(name)s, %(active)s, %(n)s)
on conflict (account_id) do update set
    broker = excluded.broker, broker_user = excluded.broker_user, name = excluded.name, active = excluded.active,
    n = excluded.n

-- meet_account: an account that nobody has described yet
insert into trading_accounts (account_id, broker, n) values (%(account)s, %(broker)s, %(n)s)
on conflict (account_id) do nothing

-- count_rows: so many orders and trades more
update trading_accounts set orders_count = orders_count + %(orders)s, trades_count = trades_count + %(trades)s
where account_id = %(account)s

-- keep_run: a run over an account has ended
insert into sync_runs (n, account_id, run, trigger, started_at, finished_at, kinds, counts, outcome, success, error,
                       results, asked)
values (%(n)s, %(account)s, %(run)s, %(trigger)s, %(started_at)s, %(finished_at)s, %(kinds)s, %(counts)s::jsonb,
        %(outcome)s, %(success)s, %(error)s, %(results)s::jsonb, %(asked)s::jsonb)

-- end_run: what the newest run says of its account
update trading_accounts set last_sync_at = %(finished_at)s, last_sync_status = %(outcome)s, last_sync_error = %(error)s,
    last_success_at = case when %(success)s then %(finished_at)s else last_success_at end
where account_id = %(account)s and (last_sync_at is null or last_sync_at <= %(finished_at)s)

-- known_orders: on which days orders of an account with these ids were told first
select order_id, day from orders where account_id = %(account)s and order_id = any (%(order_ids)s) order by day

-- keep_orders: orders as they were told; one that is known in a newer state stays as it is
with kept as (
    insert into orders as held (
        account_id, day, order_id, exchange_order_id, parent_order_id, exchange, tradingsymbol, instrument_token, side,
        order_type, product, variety, validity, quantity, disclosed_quantity, price, trigger_price, filled_quantity,
        pending_quantity, cancelled_quantity, average_price, status, status_message, tag, tags, created_at, updated_at,
        exchange_at, observed_at, raw, n)
    select %(account)s, day, order_id, exchange_order_id, parent_order_id, exchange, tradingsymbol, instrument_token,
           side, order_type, product, variety, validity, quantity, disclosed_quantity, price, trigger_price,
           filled_quantity, pending_quantity, cancelled_quantity, average_price, status, status_message, tag, tags,
           created_at, updated_at, exchange_at, %(observed_at)s, raw, %(n)s
    from jsonb_to_recordset(%(rows)s::jsonb) as told (
        day date, order_id text, exchange_order_id text, parent_order_id text, exchange text, tradingsymbol text,
        instrument_token bigint, side text, order_type text, product text, variety text, validity text,
        quantity numeric, disclosed_quantity numeric, price numeric, trigger_price numeric, filled_quantity numeric,
        pending_quantity numeric, cancelled_quantity numeric, average_price numeric, status text, status_message text,
        tag text, tags text[], created_at timestamptz, updated_at timestamptz, exchange_at timestamptz, raw jsonb)
    on conflict (account_id, day, order_id) do update set
        exchange_order_id = excluded.exchange_order_id, parent_order_id = excluded.parent_order_id,
        exchange = excluded.exchange, tradingsymbol = excluded.tradingsymbol,
        instrument_token = excluded.instrument_token, side = excluded.side, order_type = excluded.order_type,
        product = excluded.product, variety = excluded.variety, validity = excluded.validity,
        quantity = excluded.quantity, disclosed_quantity = excluded.disclosed_quantity, price = excluded.price,
        trigger_price = excluded.trigger_price, filled_quantity = excluded.filled_quantity,
        pending_quantity = excluded.pending_quantity, cancelled_quantity = excluded.cancelled_quantity,
        average_price = excluded.average_price, status = excluded.status, status_message = excluded.status_message,
        tag = excluded.tag, tags = excluded.tags, created_at = least(held.created_at, excluded.created_at),
        updated_at = excluded.updated_at, exchange_at = excluded.exchange_at, observed_at = excluded.observed_at,
        absent_since = null, raw = excluded.raw, n = excluded.n
    where %(newest)s
    returning (xmax = 0) as is_added)
select count(*) filter (where is_added) as added from kept

-- keep_history: a state in which an order was seen
insert into order_history (account_id, day, order_id, n, status, status_message, quantity, price, trigger_price,
                           filled_quantity, pending_quantity, cancelled_quantity, average_price, told_at, observed_at)
select %(account)s, day, order_id, %(n)s, status, status_message, quantity, price, trigger_price, filled_quantity,
       pending_quantity, cancelled_quantity, average_price, updated_at, %(observed_at)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    day date, order_id text, status text, status_message text, quantity numeric, price numeric, trigger_price numeric,
    filled_quantity numeric, pending_quantity numeric, cancelled_quantity numeric, average_price numeric,
    updated_at timestamptz)

-- keep_trades: trades as they were told, each once for ever
with kept as (
    insert into trades as held (
        account_id, day, exchange, order_id, trade_id, exchange_order_id, time, tradingsymbol, instrument_token, product,
        side, quantity, price, observed_at, raw, n)
    select %(account)s, day, exchange, order_id, trade_id, exchange_order_id, time, tradingsymbol, instrument_token,
           product, side, quantity, price, %(observed_at)s, raw, %(n)s
    from jsonb_to_recordset(%(rows)s::jsonb) as told (
        day date, exchange text, order_id text, trade_id text, exchange_order_id text, time timestamptz,
        tradingsymbol text, instrument_token bigint, product text, side text, quantity numeric, price numeric, raw jsonb)
    on conflict (account_id, day, exchange, order_id, trade_id) do update set
        exchange_order_id = excluded.exchange_order_id, time = excluded.time, tradingsymbol = excluded.tradingsymbol,
        instrument_token = excluded.instrument_token, product = excluded.product, side = excluded.side,
        quantity = excluded.quantity, price = excluded.price, observed_at = excluded.observed_at, absent_since = null,
        raw = excluded.raw, n = excluded.n,
        fold = case when (held.time, held.tradingsymbol, held.product, held.side, held.quantity, held.price) is distinct
                         from (excluded.time, excluded.tradingsymbol, excluded.product, excluded.side,
                               excluded.quantity, excluded.price) and held.fold = 1 then 2 else held.fold end
    where %(newest)s
    returning (xmax = 0) as is_added)
select count(*) filter (where is_added) as added from kept

-- miss_orders: the broker does not list these any more, on their own day
update orders set absent_since = %(observed_at)s
from jsonb_to_recordset(%(rows)s::jsonb) as gone (day date, order_id text)
where orders.account_id = %(account)s and orders.day = gone.day and orders.order_id = gone.order_id

-- miss_trades: the broker does not list these any more, on their own day
update trades set absent_since = %(observed_at)s
from jsonb_to_recordset(%(rows)s::jsonb) as gone (day date, exchange text, order_id text, trade_id text)
where trades.account_id = %(account)s and trades.day = gone.day and trades.exchange = gone.exchange
  and trades.order_id = gone.order_id and trades.trade_id = gone.trade_id

-- keep_positions: the net positions as they stand now
insert into positions (
    account_id, exchange, tradingsymbol, product, instrument_token, quantity, overnight_quantity, multiplier,
    average_price, close_price, last_price, pnl, day_pnl, realised, unrealised, buy_quantity, buy_value, sell_quantity,
    sell_value, synced_at, raw, n)
select %(account)s, exchange, tradingsymbol, product, instrument_token, quantity, overnight_quantity, multiplier,
       average_price, close_price, last_price, pnl, day_pnl, realised, unrealised, buy_quantity, buy_value,
       sell_quantity, sell_value, %(observed_at)s, raw, %(n)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    exchange text, tradingsymbol text, product text, instrument_token bigint, quantity numeric,
    overnight_quantity numeric, multiplier numeric, average_price numeric, close_price numeric, last_price numeric,
    pnl numeric, day_pnl numeric, realised numeric, unrealised numeric, buy_quantity numeric, buy_value numeric,
    sell_quantity numeric, sell_value numeric, raw jsonb)

-- clear_positions: the net positions of an account are told anew
delete from positions where account_id = %(account)s

-- keep_day_positions: what was traded today, as it stands now
insert into day_positions (
    account_id, exchange, tradingsymbol, product, instrument_token, quantity, overnight_quantity, multiplier,
    average_price, close_price, last_price, pnl, day_pnl, realised, unrealised, buy_quantity, buy_value, sell_quantity,
    sell_value, synced_at, raw, n)
select %(account)s, exchange, tradingsymbol, product, instrument_token, quantity, overnight_quantity, multiplier,
       average_price, close_price, last_price, pnl, day_pnl, realised, unrealised, buy_quantity, buy_value,
       sell_quantity, sell_value, %(observed_at)s, raw, %(n)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    exchange text, tradingsymbol text, product text, instrument_token bigint, quantity numeric,
    overnight_quantity numeric, multiplier numeric, average_price numeric, close_price numeric, last_price numeric,
    pnl numeric, day_pnl numeric, realised numeric, unrealised numeric, buy_quantity numeric, buy_value numeric,
    sell_quantity numeric, sell_value numeric, raw jsonb)

-- clear_day_positions: what was traded today is told anew
delete from day_positions where account_id = %(account)s

-- keep_holdings: the shares in the depository as they stand now
insert into holdings (
    account_id, exchange, tradingsymbol, isin, instrument_token, product, quantity, t1_quantity, realised_quantity,
    used_quantity, authorised_quantity, opening_quantity, short_quantity, collateral_quantity, collateral_type,
    average_price, close_price, last_price, pnl, day_change, synced_at, raw, n)
select %(account)s, exchange, tradingsymbol, isin, instrument_token, product, quantity, t1_quantity, realised_quantity,
       used_quantity, authorised_quantity, opening_quantity, short_quantity, collateral_quantity, collateral_type,
       average_price, close_price, last_price, pnl, day_change, %(observed_at)s, raw, %(n)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    exchange text, tradingsymbol text, isin text, instrument_token bigint, product text, quantity numeric,
    t1_quantity numeric, realised_quantity numeric, used_quantity numeric, authorised_quantity numeric,
    opening_quantity numeric, short_quantity numeric, collateral_quantity numeric, collateral_type text,
    average_price numeric, close_price numeric, last_price numeric, pnl numeric, day_change numeric, raw jsonb)

-- clear_holdings: the shares of an account are told anew
delete from holdings where account_id = %(account)s

-- keep_margins: the funds as they stand now
insert into margins (account_id, segment, enabled, net, available, utilised, synced_at, raw, n)
select %(account)s, segment, enabled, net, available, utilised, %(observed_at)s, raw, %(n)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    segment text, enabled boolean, net numeric, available jsonb, utilised jsonb, raw jsonb)

-- clear_margins: the funds of an account are told anew
delete from margins where account_id = %(account)s

-- add_changes: what an answer has that the one before had not
insert into account_changes (cursor, account_id, kind, key, change, before, after, observed_at)
select cursor, %(account)s, %(kind)s, key, change, before, after, %(observed_at)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (cursor bigint, key text, change text, before jsonb, after jsonb)

-- touch_positions: the net positions of an account stand as they stood
update positions set synced_at = %(observed_at)s where account_id = %(account)s

-- touch_day_positions: the trades of today of an account stand as they stood
update day_positions set synced_at = %(observed_at)s where account_id = %(account)s

-- touch_holdings: the shares of an account stand as they stood
update holdings set synced_at = %(observed_at)s where account_id = %(account)s

-- touch_margins: the funds of an account stand as they stood
update margins set synced_at = %(observed_at)s where account_id = %(account)s
