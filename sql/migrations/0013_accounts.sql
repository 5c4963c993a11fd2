-- The trading accounts as their brokers tell of them: what stands now, what stood before, and what changed.
-- A day is an IST date. Money and quantities are numeric: they are the broker's own digits.

create table trading_accounts (
    account_id       text primary key,
    broker           text    not null,
    broker_user      text    not null default '',
    name             text    not null default '',
    active           boolean not null default true,
    last_sync_at     timestamptz,
    last_sync_status text,
    last_sync_error  text,
    last_success_at  timestamptz,
    trades_count     bigint  not null default 0,
    orders_count     bigint  not null default 0,
    n                bigint  not null
);
comment on table trading_accounts is 'Each account that is or was pulled, and what came of its last run.';
comment on column trading_accounts.last_sync_status is 'ok, partial (some kinds came), failed, or refused (log in again).';

create table account_snapshots (
    account_id  text        not null,
    kind        text        not null,
    asked_at    timestamptz not null,
    answered_at timestamptz not null,
    asked_ns    bigint      not null,
    sha256      text        not null,
    rows        integer     not null,
    n           bigint      not null,
    body_n      bigint      not null,
    body        bytea       not null,
    primary key (account_id, kind)
);
comment on table account_snapshots is 'The newest answer of each kind: its body (zstd) is what the next one is compared with.';

create table orders (
    account_id         text        not null,
    day                date        not null,
    order_id           text        not null,
    exchange_order_id  text,
    parent_order_id    text,
    exchange           text        not null,
    tradingsymbol      text        not null,
    instrument_token   bigint,
    side               text        not null,
    order_type         text,
    product            text,
    variety            text,
    validity           text,
    quantity           numeric     not null,
    disclosed_quantity numeric,
    price              numeric,
    trigger_price      numeric,
    filled_quantity    numeric     not null default 0,
    pending_quantity   numeric,
    cancelled_quantity numeric,
    average_price      numeric,
    status             text        not null,
    status_message     text,
    tag                text,
    tags               text[]      not null default '{}',
    strategy_id        text,
    strategy_reason    text        not null default '',
    created_at         timestamptz,
    updated_at         timestamptz,
    exchange_at        timestamptz,
    observed_at        timestamptz not null,
    absent_since       timestamptz,
    raw                jsonb       not null,
    n                  bigint      not null,
    primary key (account_id, day, order_id)
);
create index orders_order on orders (order_id);
create index orders_open on orders (account_id) where status not in ('COMPLETE', 'CANCELLED', 'REJECTED');
comment on table orders is 'Every order, in its newest state; order_history has the others.';
comment on column orders.created_at is 'When the broker took it, as it first said; updated_at is the newest time that it told.';
comment on column orders.absent_since is 'Since when the broker does not list it any more, on its own day; nothing that it said is taken back.';

create table order_history (
    account_id         text        not null,
    day                date        not null,
    order_id           text        not null,
    n                  bigint      not null,
    status             text        not null,
    status_message     text,
    quantity           numeric,
    price              numeric,
    trigger_price      numeric,
    filled_quantity    numeric,
    pending_quantity   numeric,
    cancelled_quantity numeric,
    average_price      numeric,
    told_at            timestamptz,
    observed_at        timestamptz not null,
    primary key (account_id, day, order_id, n)
);
comment on table order_history is 'Each state in which an order was seen: between two pulls it may have had others.';

create table trades (
    account_id        text        not null,
    day               date        not null,
    exchange          text        not null,
    order_id          text        not null,
    trade_id          text        not null,
    exchange_order_id text,
    time              timestamptz not null,
    tradingsymbol     text        not null,
    instrument_token  bigint,
    product           text        not null,
    side              text        not null,
    quantity          numeric     not null,
    price             numeric     not null,
    strategy_id       text,
    strategy_reason   text        not null default '',
    observed_at       timestamptz not null,
    absent_since      timestamptz,
    raw               jsonb       not null,
    n                 bigint      not null,
    primary key (account_id, day, exchange, order_id, trade_id)
);
create index trades_time on trades (account_id, time);
create index trades_symbol on trades (account_id, exchange, tradingsymbol, product);
comment on table trades is 'Every fill: the facts that all profit and loss is made of.';

create table positions (
    account_id         text        not null,
    exchange           text        not null,
    tradingsymbol      text        not null,
    product            text        not null,
    instrument_token   bigint,
    quantity           numeric     not null,
    overnight_quantity numeric     not null default 0,
    multiplier         numeric     not null default 1,
    average_price      numeric,
    close_price        numeric,
    last_price         numeric,
    pnl                numeric,
    day_pnl            numeric,
    realised           numeric,
    unrealised         numeric,
    buy_quantity       numeric,
    buy_value          numeric,
    sell_quantity      numeric,
    sell_value         numeric,
    strategy_id        text,
    synced_at          timestamptz not null,
    raw                jsonb       not null,
    n                  bigint      not null,
    primary key (account_id, exchange, tradingsymbol, product)
);
comment on table positions is 'The net positions as the broker last told; day_positions are another view of the same, never to be added.';
comment on column positions.day_pnl is 'The broker''s m2m: against yesterday''s close.';
comment on column positions.strategy_id is 'Whose it is, where all of it is one strategy''s; strategy_positions splits it otherwise.';

create table day_positions (like positions including all);
comment on table day_positions is 'What was traded today, as the broker last told; positions are the other view of the same.';

create table holdings (
    account_id          text        not null,
    exchange            text        not null,
    tradingsymbol       text        not null,
    isin                text,
    instrument_token    bigint,
    product             text,
    quantity            numeric     not null,
    t1_quantity         numeric     not null default 0,
    realised_quantity   numeric,
    used_quantity       numeric,
    authorised_quantity numeric,
    opening_quantity    numeric,
    short_quantity      numeric,
    collateral_quantity numeric,
    collateral_type     text,
    average_price       numeric,
    close_price         numeric,
    last_price          numeric,
    pnl                 numeric,
    day_change          numeric,
    synced_at           timestamptz not null,
    raw                 jsonb       not null,
    n                   bigint      not null,
    primary key (account_id, exchange, tradingsymbol)
);
comment on table holdings is 'The shares in the depository as the broker last told.';

create table margins (
    account_id text        not null,
    segment    text        not null,
    enabled    boolean,
    net        numeric,
    available  jsonb       not null,
    utilised   jsonb       not null,
    synced_at  timestamptz not null,
    raw        jsonb       not null,
    n          bigint      not null,
    primary key (account_id, segment)
);
comment on table margins is 'The funds of each segment as the broker last told.';

create table account_changes (
    cursor      bigint      primary key,
    account_id  text        not null,
    kind        text        not null,
    key         text        not null,
    change      text        not null check (change in ('added', 'changed', 'removed')),
    before      jsonb,
    after       jsonb,
    observed_at timestamptz not null
);
create index account_changes_account on account_changes (account_id, cursor);
comment on table account_changes is 'What one snapshot has that the one before had not; prices that move by themselves left out.';
comment on column account_changes.cursor is 'n of the event times 2^20, and its place in it: growing over all accounts, and the same after a rebuild.';

create table sync_runs (
    n           bigint      primary key,
    account_id  text        not null,
    run         text        not null,
    trigger     text        not null,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    kinds       text[]      not null,
    counts      jsonb       not null,
    outcome     text        not null,
    success     boolean     not null,
    error       text,
    results     jsonb       not null,
    asked       jsonb       not null
);
create index sync_runs_account on sync_runs (account_id, n desc);
comment on table sync_runs is 'Each run over an account: what came, what did not, and which requests it answers.';

create function account_column(name text) returns text language sql stable as $$
    select coalesce((select 'account_id' from pg_attribute
                     where attrelid = name::regclass and attname = 'account_id' and not attisdropped), '''''')
$$;
comment on function account_column is 'The column by which a table is cut into parts: it has an account_id, or it is one part.';

create function sum_by_account(name text) returns table (part text, rows bigint, checksum numeric) language plpgsql as $$
begin
    return query execute format(
        'select %1$s::text, count(*), sum(hash_record_extended(held, 0)) from %2$I held group by 1',
        account_column(name), name);
end $$;
comment on function sum_by_account is 'A checksum of each account''s rows in the table of this name that the caller sees.';

create function rows_by_account(name text, account text) returns table (key text, body jsonb) language plpgsql as $$
declare
    columns text := (
        select string_agg(format('%I', attname), ', ' order by array_position(indkey::smallint[], attnum))
        from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey)
        where indrelid = name::regclass and indisprimary);
begin
    return query execute format(
        'select concat_ws('' '', %1$s), to_jsonb(held) from %2$I held where %3$s::text = $1 order by %1$s',
        columns, name, account_column(name))
        using account;
end $$;
comment on function rows_by_account is 'The rows of one account, by their primary key.';
