-- What follows from the fills: whose they are, what was won, what it cost, and where our account differs from the broker's.
-- Everything here is derived from the tables of 0013 and from what users decided; a day is an IST date.

alter table trades add fold smallint not null default 0, add draft_strategy_id text;
comment on column trades.fold is '0: not in its book yet, 1: in it, 2: told otherwise since.';
comment on column trades.draft_strategy_id is 'Whose it would be if the draft rules were applied.';
create index trades_unfolded on trades (account_id) where fold <> 1;

create table decisions (
    stream text   primary key,
    n      bigint not null
);
comment on table decisions is 'How far the requests of each stream were taken in: one that is forwarded twice counts once.';

create table strategies (
    strategy_id text        primary key,
    name        text        not null,
    description text        not null,
    active      boolean     not null,
    set_at      timestamptz not null
);
comment on table strategies is 'The strategies that users described; a tag may name others.';

create table attribution_rules (
    rule_id     text        not null,
    draft       boolean     not null,
    n           bigint      not null,
    strategy_id text        not null,
    kind        text        not null,
    pattern     text        not null,
    account_id  text        not null,
    priority    integer     not null,
    valid_from  date,
    valid_to    date,
    set_at      timestamptz not null,
    ended_at    timestamptz,
    primary key (rule_id, draft, n)
);
create unique index attribution_rules_now on attribution_rules (rule_id, draft) where ended_at is null;
comment on table attribution_rules is 'Each rule that was ever set; those without an end count now, drafts beside them.';

create table corporate_actions (
    action_id     text primary key,
    kind          text    not null,
    exchange      text    not null,
    tradingsymbol text    not null,
    day           date    not null,
    ratio_old     integer not null,
    ratio_new     integer not null
);
comment on table corporate_actions is 'Splits and bonus issues: so many shares for each so many, from the morning of the day on.';

create table tariffs (
    broker  text    not null,
    shipped boolean not null,
    text    text    not null,
    sha256  text    not null,
    n       bigint  not null,
    primary key (broker, shipped)
);
comment on table tariffs is 'By which table of charges each broker''s accounts are reckoned: a user''s before the shipped one.';

create table multipliers (
    exchange      text    not null,
    tradingsymbol text    not null,
    multiplier    numeric not null,
    primary key (exchange, tradingsymbol)
);
comment on table multipliers is 'Units of the price in one of quantity, as positions told last; 1 where none did.';

create table opening_lots (
    account_id    text    not null,
    exchange      text    not null,
    tradingsymbol text    not null,
    product       text    not null,
    day           date    not null,
    quantity      numeric not null,
    price         numeric not null,
    strategy_id   text,
    n             bigint  not null,
    primary key (account_id, exchange, tradingsymbol, product)
);
comment on table opening_lots is 'What was there before the first fill that is known, as the first snapshot told.';

create table books (
    account_id       text    not null,
    strategy_id      text    not null,
    exchange         text    not null,
    tradingsymbol    text    not null,
    product          text    not null,
    draft            boolean not null,
    multiplier       numeric not null,
    quantity         numeric not null,
    fifo_price       numeric,
    average_price    numeric,
    fifo_value       numeric not null,
    average_value    numeric not null,
    realised_fifo    numeric not null,
    realised_average numeric not null,
    cash_flow        numeric not null,
    opening_quantity numeric not null,
    opening_value    numeric not null,
    bought_quantity  numeric not null,
    bought_value     numeric not null,
    sold_quantity    numeric not null,
    sold_value       numeric not null,
    closed           integer not null,
    last_at          timestamptz,
    state            jsonb   not null,
    primary key (account_id, strategy_id, exchange, tradingsymbol, product, draft)
);
create index books_symbol on books (exchange, tradingsymbol);
comment on table books is 'Each strategy''s fills of one instrument and product, folded: what is open, what was won. Gross.';
comment on column books.draft is 'As it would be if the draft rules were applied; to be looked at beside the others, never added.';
comment on column books.closed is 'How many rows of closed_lots it has made.';
comment on column books.strategy_id is '`none` for what belongs to none.';

create table closed_lots (
    account_id      text        not null,
    strategy_id     text        not null,
    exchange        text        not null,
    tradingsymbol   text        not null,
    product         text        not null,
    draft           boolean     not null,
    place           integer     not null,
    trip            integer     not null,
    day             date        not null,
    quantity        numeric     not null,
    open_value      numeric     not null,
    close_value     numeric     not null,
    realised        numeric     not null,
    opened_at       timestamptz not null,
    opened_order_id text        not null,
    opened_trade_id text        not null,
    closed_at       timestamptz not null,
    closed_order_id text        not null,
    closed_trade_id text        not null,
    primary key (account_id, strategy_id, exchange, tradingsymbol, product, draft, place)
);
create index closed_lots_day on closed_lots (account_id, day) where not draft;
comment on table closed_lots is 'What closed what, first in first out: a part of a lot, and the fill that closed it. Short lots are negative.';
comment on column closed_lots.trip is 'Of the book, from 1: a round trip lasts from flat to flat, or to a flip.';

create table trade_charges (
    account_id           text    not null,
    day                  date    not null,
    exchange             text    not null,
    order_id             text    not null,
    trade_id             text    not null,
    segment              text    not null,
    brokerage            numeric not null,
    transaction_tax      numeric not null,
    transaction_tax_type text    not null,
    exchange_charge      numeric not null,
    sebi                 numeric not null,
    stamp                numeric not null,
    ipft                 numeric not null,
    clearing             numeric not null,
    gst                  numeric not null,
    dp                   numeric not null,
    total                numeric not null,
    primary key (account_id, day, exchange, order_id, trade_id)
);
comment on table trade_charges is 'What each trade costs: its share of the day''s contract note, and of what the depository takes.';

create table uncharged (
    account_id text not null,
    day        date not null,
    exchange   text not null,
    error      text not null,
    primary key (account_id, day, exchange)
);
comment on table uncharged is 'Days whose charges cannot be reckoned, and why: no tariff, or an instrument of no known segment.';

create view strategy_positions as
select books.account_id, books.strategy_id, books.exchange, books.tradingsymbol, books.product, books.draft,
       books.quantity, books.multiplier, books.fifo_price, books.average_price, books.realised_fifo,
       books.realised_average, books.cash_flow, books.opening_value,
       coalesce(net.last_price, held.last_price) as last_price,
       case when books.quantity = 0 then 0
            else books.quantity * coalesce(net.last_price, held.last_price) * books.multiplier end as market_value,
       case when books.quantity = 0 then 0
            else books.quantity * coalesce(net.last_price, held.last_price) * books.multiplier - books.fifo_value
            end as unrealised_fifo,
       case when books.quantity = 0 then 0
            else books.quantity * coalesce(net.last_price, held.last_price) * books.multiplier - books.average_value
            end as unrealised_average
from books
left join positions net using (account_id, exchange, tradingsymbol, product)
left join holdings held on held.account_id = books.account_id and held.exchange = books.exchange
                       and held.tradingsymbol = books.tradingsymbol and books.product in ('CNC', 'MTF');
comment on view strategy_positions is 'Each book at the last price that the broker told; null where it told none.';

create view daily_pnl_by_strategy as
select account_id, strategy_id, day, coalesce(realised, 0) as realised, coalesce(charges, 0) as charges,
       coalesce(realised, 0) - coalesce(charges, 0) as net, coalesce(trades, 0) as trades,
       coalesce(turnover, 0) as turnover, coalesce(wins, 0) as wins, coalesce(losses, 0) as losses
from (select account_id, strategy_id, day, sum(realised) as realised, count(*) filter (where realised > 0) as wins,
             count(*) filter (where realised < 0) as losses
      from (select account_id, strategy_id, day, closed_order_id, closed_trade_id, sum(realised) as realised
            from closed_lots where not draft
            group by account_id, strategy_id, day, exchange, closed_order_id, closed_trade_id) closing
      group by account_id, strategy_id, day) won
full join (select account_id, coalesce(strategy_id, 'none') as strategy_id, day, sum(total) as charges,
                  count(*) as trades, sum(quantity * price * coalesce(multiplier, 1)) as turnover
           from trades
           left join trade_charges using (account_id, day, exchange, order_id, trade_id)
           left join multipliers using (exchange, tradingsymbol)
           group by account_id, coalesce(strategy_id, 'none'), day) paid using (account_id, strategy_id, day);
comment on view daily_pnl_by_strategy is 'What each strategy won by closing (first in first out) on each day, what its trades cost, and how many.';

create view hourly_trade_volume as
select account_id, exchange, tradingsymbol,
       date_trunc('hour', time, 'Asia/Kolkata') as hour, count(*) as trades, sum(quantity) as quantity,
       sum(quantity * price * coalesce(multiplier, 1)) as value
from trades left join multipliers using (exchange, tradingsymbol)
group by account_id, exchange, tradingsymbol, date_trunc('hour', time, 'Asia/Kolkata');
comment on view hourly_trade_volume is 'How much was traded in each hour of Indian time.';

create view account_performance_daily as
select account_id, day, coalesce(trades, 0) as trades, coalesce(unique_symbols, 0) as unique_symbols,
       coalesce(turnover, 0) as turnover, coalesce(realised, 0) as realised, coalesce(charges, 0) as charges,
       coalesce(realised, 0) - coalesce(charges, 0) as net, coalesce(wins, 0) as wins, coalesce(losses, 0) as losses,
       largest_win, largest_loss, volatility
from (select account_id, day, count(*) as trades, count(distinct (exchange, tradingsymbol)) as unique_symbols,
             sum(quantity * price * coalesce(multiplier, 1)) as turnover, sum(total) as charges
      from trades
      left join trade_charges using (account_id, day, exchange, order_id, trade_id)
      left join multipliers using (exchange, tradingsymbol)
      group by account_id, day) traded
full join (select account_id, day, sum(realised) as realised, count(*) filter (where realised > 0) as wins,
                  count(*) filter (where realised < 0) as losses,
                  max(realised) filter (where realised > 0) as largest_win,
                  min(realised) filter (where realised < 0) as largest_loss,
                  stddev_samp(realised) as volatility
           from (select account_id, day, sum(realised) as realised from closed_lots where not draft
                 group by account_id, day, strategy_id, exchange, closed_order_id, closed_trade_id) closing
           group by account_id, day) won using (account_id, day);
comment on view account_performance_daily is 'Each account''s day: trades, what closing ones won and lost, what it cost; volatility is the deviation of the wins and losses.';
