-- keep_broker_charges: what the broker says that orders cost, of their own day after midnight; what it said later stays
insert into broker_charges as held (
    account_id, day, order_id, exchange, tradingsymbol, product, side, quantity, average_price, brokerage,
    transaction_tax, transaction_tax_type, exchange_charge, sebi, stamp, gst, total, asked_at, answered_at, raw, n)
select %(account)s, coalesce((select max(orders.day) from orders
                              where orders.account_id = %(account)s and orders.order_id = told.order_id
                                and orders.day in (%(day)s, %(day)s::date + 1)), %(day)s),
       order_id, exchange, tradingsymbol, product, side, quantity, average_price, brokerage,
       transaction_tax, transaction_tax_type, exchange_charge, sebi, stamp, gst, total, %(asked_at)s, %(answered_at)s,
       raw, %(n)s
from jsonb_to_recordset(%(rows)s::jsonb) as told (
    order_id text, exchange text, tradingsymbol text, product text, side text, quantity numeric, average_price numeric,
    brokerage numeric, transaction_tax numeric, transaction_tax_type text, exchange_charge numeric, sebi numeric,
    stamp numeric, gst numeric, total numeric, raw jsonb)
on conflict (account_id, day, order_id) do update set
    exchange = excluded.exchange, tradingsymbol = excluded.tradingsymbol, product = excluded.product,
    side = excluded.side, quantity = excluded.quantity, average_price = excluded.average_price,
    brokerage = excluded.brokerage, transaction_tax = excluded.transaction_tax,
    transaction_tax_type = excluded.transaction_tax_type, exchange_charge = excluded.exchange_charge,
    sebi = excluded.sebi, stamp = excluded.stamp, gst = excluded.gst, total = excluded.total,
    asked_at = excluded.asked_at, answered_at = excluded.answered_at, raw = excluded.raw, n = excluded.n
where held.asked_at <= excluded.asked_at

-- noted_accounts: every account of which a broker said what orders cost
select account_id from trading_accounts
where exists (select from broker_charges where broker_charges.account_id = trading_accounts.account_id)

-- read_note: what the broker said of the newest day of an account
select day, order_id, exchange, tradingsymbol, product, side, quantity, average_price, brokerage, transaction_tax,
       exchange_charge, sebi, stamp, gst, n
from broker_charges
where account_id = %(account)s
  and day = (select max(day) from broker_charges newest where newest.account_id = %(account)s)
order by order_id

-- drop_disputes: which charges are others than ours is looked at anew
update broker_charges set ours = null where account_id = %(account)s and ours is not null

-- keep_disputes: what our table of charges gives for orders of a day, where that is not the same
update broker_charges set ours = told.ours
from jsonb_to_recordset(%(rows)s::jsonb) as told (order_id text, ours jsonb)
where broker_charges.account_id = %(account)s and broker_charges.day = %(day)s
  and broker_charges.order_id = told.order_id

-- read_disputes: the orders of an account of which the broker and our table of charges say otherwise
select day, order_id, exchange, tradingsymbol, product, side, quantity, average_price, brokerage, transaction_tax,
       exchange_charge, sebi, stamp, gst, n, ours::text as ours, answered_at
from broker_charges where account_id = %(account)s and ours is not null
order by exchange, tradingsymbol, product, order_id
