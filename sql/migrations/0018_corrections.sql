-- Fills that users tell, because no answer of a broker ever will: beside the trades, and folded with them.

create table corrections (
    account_id    text        not null,
    fill_id       text        not null,
    day           date        not null,
    time          timestamptz not null,
    exchange      text        not null,
    tradingsymbol text        not null,
    product       text        not null,
    side          text        not null,
    quantity      numeric     not null,
    price         numeric     not null,
    order_id      text        not null,
    strategy_id   text,
    reason        text        not null,
    set_at        timestamptz not null,
    n             bigint      not null,
    primary key (account_id, fill_id)
);
create index corrections_line on corrections (account_id, exchange, tradingsymbol, product);
create index corrections_order on corrections (account_id, order_id) where order_id <> '';
comment on table corrections is 'Fills told by hand: of an expiry, a conversion, a transfer, an allotment, a day that was missed. They cost nothing.';
comment on column corrections.order_id is 'Of the order that it is a fill of; empty for none.';
