-- What the broker says that each executed order costs, beside what our table of charges makes of it.

create table broker_charges (
    account_id           text        not null,
    day                  date        not null,
    order_id             text        not null,
    exchange             text        not null,
    tradingsymbol        text        not null,
    product              text        not null,
    side                 text        not null,
    quantity             numeric     not null,
    average_price        numeric     not null,
    brokerage            numeric,
    transaction_tax      numeric,
    transaction_tax_type text,
    exchange_charge      numeric,
    sebi                 numeric,
    stamp                numeric,
    gst                  numeric,
    total                numeric,
    ours                 jsonb,
    asked_at             timestamptz not null,
    answered_at          timestamptz not null,
    raw                  jsonb       not null,
    n                    bigint      not null,
    primary key (account_id, day, order_id)
);
comment on table broker_charges is 'What the broker''s virtual contract note says of each executed order; docs/reconciliation.md.';
comment on column broker_charges.quantity is 'What was filled of the order when the broker was asked; average_price is at what.';
comment on column broker_charges.exchange_charge is 'With the investor protection fund and clearing, as the broker shows them.';
comment on column broker_charges.ours is 'What our table of charges gives instead, where that is not the same; of the newest day alone.';
comment on column broker_charges.n is 'Of one answer: orders with the same n were asked about together.';

create index broker_charges_disputed on broker_charges (account_id) where ours is not null;
