-- What each round trip brought, kept: reckoned anew from lots, trades and charges, 60,000 of them took longer than users wait.

create table round_trips (
    account_id    text        not null,
    strategy_id   text        not null,
    exchange      text        not null,
    tradingsymbol text        not null,
    product       text        not null,
    trip          integer     not null,
    day           date        not null,
    ended_at      timestamptz not null,
    realised      numeric     not null,
    charges       numeric     not null,
    primary key (account_id, strategy_id, exchange, tradingsymbol, product, trip)
);
create index round_trips_day on round_trips (account_id, day);
comment on table round_trips is 'Each round trip of a book that has ended: what its closings won (first in first out), and its share of what its trades cost.';

insert into round_trips (account_id, strategy_id, exchange, tradingsymbol, product, trip, day, ended_at, realised, charges)
select lot.account_id, lot.strategy_id, lot.exchange, lot.tradingsymbol, lot.product, lot.trip, max(lot.day),
       max(lot.closed_at), sum(realised),
       round(sum(coalesce(abs(open_value) * opening_paid.total
                          / nullif(opening.quantity * opening.price * books.multiplier, 0), 0)
                 + coalesce(abs(close_value) * closing_paid.total
                            / nullif(closing.quantity * closing.price * books.multiplier, 0), 0)), 8)
from closed_lots lot
join books using (account_id, strategy_id, exchange, tradingsymbol, product, draft)
left join trades opening on opening.account_id = lot.account_id and opening.exchange = lot.exchange
      and opening.day = (lot.opened_at at time zone 'Asia/Kolkata')::date
      and opening.order_id = lot.opened_order_id and opening.trade_id = lot.opened_trade_id
left join trade_charges opening_paid on opening_paid.account_id = lot.account_id
      and opening_paid.day = (lot.opened_at at time zone 'Asia/Kolkata')::date
      and opening_paid.exchange = lot.exchange and opening_paid.order_id = lot.opened_order_id
      and opening_paid.trade_id = lot.opened_trade_id
left join trades closing on closing.account_id = lot.account_id and closing.exchange = lot.exchange
      and closing.day = lot.day
      and closing.order_id = lot.closed_order_id and closing.trade_id = lot.closed_trade_id
left join trade_charges closing_paid on closing_paid.account_id = lot.account_id and closing_paid.day = lot.day
      and closing_paid.exchange = lot.exchange and closing_paid.order_id = lot.closed_order_id
      and closing_paid.trade_id = lot.closed_trade_id
where not lot.draft and not (books.quantity <> 0 and lot.trip = (books.state ->> 'trip')::integer)
group by lot.account_id, lot.strategy_id, lot.exchange, lot.tradingsymbol, lot.product, lot.trip;
