-- Where the books that are folded from fills, and what the brokers say, do not agree. Derived from 0013 and 0015.

create table missing_fills (
    account_id      text        not null,
    day             date        not null,
    order_id        text        not null,
    exchange        text        not null,
    tradingsymbol   text        not null,
    product         text        not null,
    side            text        not null,
    filled_quantity numeric     not null,
    traded_quantity numeric     not null,
    observed_at     timestamptz not null,
    primary key (account_id, day, order_id)
);
comment on table missing_fills is 'Orders of which the broker says that more was filled than its trades come to.';
comment on column missing_fills.observed_at is 'When this state of the order was answered to us.';

create table divergences (
    account_id    text        not null,
    exchange      text        not null,
    tradingsymbol text        not null,
    product       text        not null,
    type          text        not null,
    ours          numeric     not null,
    theirs        numeric     not null,
    settling      boolean     not null,
    evidence      jsonb       not null,
    observed_at   timestamptz not null,
    primary key (account_id, exchange, tradingsymbol, product, type),
    check (type in ('missing_fill', 'manual_trade', 'corporate_action', 'conversion', 'expired', 'quantity',
                    'average_price', 'pnl', 'charge'))
);
comment on table divergences is 'What stands otherwise in our books than at the broker, by the newest answers: docs/reconciliation.md.';
comment on column divergences.ours is 'A quantity, a price or an amount, as the type says; theirs is the broker''s.';
comment on column divergences.settling is 'One side moved after the other was asked: the next pull may mend it, and it raises no alarm.';
comment on column divergences.observed_at is 'When the newest of the answers was given that it follows from.';

create index books_open on books (account_id) where quantity <> 0 and not draft;
create index account_changes_line on account_changes (account_id, key, observed_at) where kind in ('positions', 'holdings');
