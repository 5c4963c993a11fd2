-- What the migrations give on plain PostgreSQL: to be read, and to be compared by a test; nothing runs it.
-- Written by: python -m tests.schema

CREATE FUNCTION public.account_column(name text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    select coalesce((select 'account_id' from pg_attribute
                     where attrelid = name::regclass and attname = 'account_id' and not attisdropped), '''''')
$$;

COMMENT ON FUNCTION public.account_column(name text) IS 'The column by which a table is cut into parts: it has an account_id, or it is one part.';

CREATE FUNCTION public.candle_coverage(streams smallint[], token bigint, low timestamp with time zone, high timestamp with time zone) RETURNS double precision
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    select 1 - coalesce(sum(extract(epoch from upper(piece) - lower(piece))), 0)::double precision
               / extract(epoch from high - low)::double precision
    from (select unnest(range_agg(tstzrange(greatest(from_time, low), least(to_time, high)))) as piece
          from candle_uncovered
          where stream_id = any (streams) and instrument_token in (0, token) and from_time < high and to_time > low) lost
$$;

COMMENT ON FUNCTION public.candle_coverage(streams smallint[], token bigint, low timestamp with time zone, high timestamp with time zone) IS 'The part of a stretch in which an instrument could be received, 0 to 1.';

CREATE FUNCTION public.candle_day(token bigint) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    -- 09:00 to 17:00 for currency, to 23:30 for commodities; 09:15 to 15:30 for all others
    select case when token & 255 in (3, 6) then interval '8 hours'
                when token & 255 in (7, 8, 12) then interval '14 hours 30 minutes'
                else interval '6 hours 15 minutes' end
$$;

CREATE FUNCTION public.candle_opens(token bigint) RETURNS time without time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    -- by the segment in the token's last byte: cds 3, bcd 6, mcx 7, mcxsx 8 and nco 12 open at 09:00, all others at 09:15
    select case when token & 255 in (3, 6, 7, 8, 12) then time '09:00' else time '09:15' end
$$;

CREATE FUNCTION public.clone_indexes(place text, name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    live   regclass := format('public.%I', name);
    target text := format('%I.%I', place, name);
    made   record;
begin
    for made in select conname, pg_get_constraintdef(oid) as definition from pg_constraint
                where conrelid = live and contype in ('p', 'u', 'x') order by conname
    loop
        execute format('alter table %s add constraint %I %s', target, made.conname, made.definition);
    end loop;
    for made in select pg_get_indexdef(indexrelid) as definition from pg_index
                where indrelid = live and indisvalid
                  and not exists (select from pg_constraint where conindid = indexrelid and conrelid = live)
    loop
        execute regexp_replace(made.definition, ' ON (ONLY )?\S+ USING ', format(' ON %s USING ', target));
    end loop;
end $$;

COMMENT ON FUNCTION public.clone_indexes(place text, name text) IS 'Make the keys and indexes of a table on its namesake in another schema, under the same names.';

CREATE FUNCTION public.clone_table(place text, name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    options text[] := (select reloptions from pg_class where oid = format('public.%I', name)::regclass);
begin
    execute format('create table %I.%I (like public.%I including all excluding indexes)', place, name, name);
    if options is not null then
        execute format('alter table %I.%I set (%s)', place, name, array_to_string(options, ', '));
    end if;
    if obj_description(format('public.%I', name)::regclass, 'pg_class') is not null then
        execute format('comment on table %I.%I is %L', place, name,
                       obj_description(format('public.%I', name)::regclass, 'pg_class'));
    end if;
    perform clone_indexes(place, name);
end $$;

COMMENT ON FUNCTION public.clone_table(place text, name text) IS 'Make an empty table in another schema that is like the live one of this name.';

CREATE FUNCTION public.clone_ticks(place text) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    execute format('create table %I.ticks (like public.ticks including all excluding indexes) partition by range (time)', place);
    perform clone_indexes(place, 'ticks');
end $$;

COMMENT ON FUNCTION public.clone_ticks(place text) IS 'Make an empty table of ticks in another schema, without a day yet.';

CREATE FUNCTION public.copy_rights(source regclass, target regclass) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    given record;
begin
    if (select relowner from pg_class where oid = source) <> (select relowner from pg_class where oid = target) then
        execute format('alter table %s owner to %I', target,
                       (select pg_get_userbyid(relowner) from pg_class where oid = source));
    end if;
    for given in select privilege_type, is_grantable, grantee from pg_class, aclexplode(relacl) where oid = source loop
        execute format('grant %s on %s to %s%s', given.privilege_type, target,
                       case when given.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(given.grantee)) end,
                       case when given.is_grantable then ' with grant option' else '' end);
    end loop;
end $$;

COMMENT ON FUNCTION public.copy_rights(source regclass, target regclass) IS 'Let those read a table who may read another.';

CREATE FUNCTION public.count_table(name text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    found bigint;
begin
    execute format('select count(*) from %I', name) into found;
    return found;
end $$;

COMMENT ON FUNCTION public.count_table(name text) IS 'How many rows there are in the table of this name that the caller sees.';

CREATE FUNCTION public.drop_rebuild(place text) RETURNS text
    LANGUAGE plpgsql
    AS $_$
declare
    gone text;
    own  text[] := array['parked_events', 'projection_checkpoints', 'rebuild', 'tombstones'];
    name text;
begin
    if place !~ '^(rebuild|replaced)_[a-z]+_[0-9]+$' then
        raise exception 'wanted a schema of a rebuild, found %', place;
    end if;
    select pg_class.oid::regclass::text into gone
    from pg_class left join pg_inherits on inhrelid = pg_class.oid
    where relnamespace = to_regnamespace(place) and relkind in ('r', 'p') and relname <> all (own)
    order by inhrelid is null, relname limit 1;
    if gone is not null then
        if to_regclass(format('%I.rebuild', place)) is not null then
            execute format('update %I.rebuild set version = 0', place);
        end if;
        execute format('drop table %s', gone);
    else
        foreach name in array own loop
            execute format('drop table if exists %I.%I', place, name);
        end loop;
        execute format('drop schema if exists %I', place);
    end if;
    return gone;
end $_$;

COMMENT ON FUNCTION public.drop_rebuild(place text) IS 'Drop one table of a rebuild, partitions first, or what is left, with the schema: then it gives null.';

CREATE FUNCTION public.drop_tick_days(days integer) RETURNS SETOF text
    LANGUAGE plpgsql
    AS $$
declare
    each   record;
    filled boolean;
    newest date;
begin
    perform pg_advisory_xact_lock(hashtext('ticks partitions'));
    for each in select * from tick_days() order by day desc loop
        if newest is null then
            execute format('select exists (select from %s)', each.part) into filled;
            if filled then
                newest := each.day;
            end if;
        elsif each.day <= newest - days then
            return next each.part::text; -- before it is gone: then it has no name
            execute format('drop table %s', each.part);
        end if;
    end loop;
end $$;

CREATE FUNCTION public.fence_stream(of_stream text) RETURNS TABLE(reader text, reached bigint)
    LANGUAGE plpgsql
    AS $_$
declare
    place text;
begin
    -- Rebuilds and replays first: what they have read may not be in the log any more, and they begin again.
    for place in
        select nspname from pg_namespace
        where nspname ~ '^rebuild_[a-z]+_[0-9]+$'
           or (nspname ~ '^replay_' and to_regclass(format('%I.replay', nspname)) is not null
               and to_regclass(format('%I.projection_checkpoints', nspname)) is not null)
        order by nspname
    loop
        return query execute format(
            'update %1$I.projection_checkpoints set epoch = epoch + 1 where stream = $1 returning %1$L::text, n', place)
            using of_stream;
    end loop;
    return query
        update public.projection_checkpoints set epoch = epoch + 1, lease_until = '-infinity', owner = null
        where stream = of_stream returning projector, n;
end $_$;

COMMENT ON FUNCTION public.fence_stream(of_stream text) IS 'Raise the epochs of all who read a stream, so that what they hold in memory is never committed.';

CREATE FUNCTION public.lock_projection(names text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    tables regclass[] := (select array_agg(format('public.%I', name)::regclass) from unnest(names) name);
    each   text;
begin
    if 'ticks' = any (names) then
        perform pg_advisory_xact_lock(hashtext('ticks partitions'));
    end if;
    -- Views first, as those who read through them do it.
    for each in select view::text from views_over(tables) view order by 1 loop
        execute format('lock table %s in access exclusive mode', each);
    end loop;
    foreach each in array tables::text[] loop
        execute format('lock table %s in access exclusive mode', each);
    end loop;
end $$;

COMMENT ON FUNCTION public.lock_projection(names text[]) IS 'Keep everybody out of these tables until the transaction ends.';

CREATE FUNCTION public.make_rebuild(place text, names text[], made_by integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    name text;
begin
    execute format('create schema %I', place);
    foreach name in array names || array['projection_checkpoints', 'parked_events'] loop
        if name = 'ticks' then
            perform clone_ticks(place);
        else
            perform clone_table(place, name);
        end if;
    end loop;
    -- own_epoch: what the rebuild itself raised the epoch to; another one is a sign that it may have read what is no more
    execute format('alter table %I.projection_checkpoints add own_epoch bigint not null default 0, '
                   'add first bigint not null default 1', place);
    execute format('create table %I.tombstones (stream text, n bigint, primary key (stream, n))', place);
    execute format('create table %I.rebuild (version integer not null, began timestamptz not null)', place);
    execute format('insert into %I.rebuild values (%L, clock_timestamp())', place, made_by);
end $$;

COMMENT ON FUNCTION public.make_rebuild(place text, names text[], made_by integer) IS 'Make the schema in which a rebuild works, with empty tables and checkpoints of its own.';

CREATE FUNCTION public.make_replay(place text, names text[], of_projector text, made_by integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    perform make_rebuild(place, names, made_by);
    execute format('alter table %I.rebuild rename to replay', place);
    execute format('alter table %I.replay add projector text not null default %L', place, of_projector);
end $$;

COMMENT ON FUNCTION public.make_replay(place text, names text[], of_projector text, made_by integer) IS 'Make the schema into which a replay projects, with empty tables and checkpoints of its own.';

CREATE FUNCTION public.make_tick_day(day date) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    name text := 'ticks_' || to_char(day, 'YYYYMMDD');
    part text := (select format('%I.%I', nspname, name) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
                  where pg_class.oid = 'ticks'::regclass);
    low  timestamptz := day::timestamp at time zone 'Asia/Kolkata';
    high timestamptz := (day + 1)::timestamp at time zone 'Asia/Kolkata';
begin
    perform pg_advisory_xact_lock(hashtext('ticks partitions'));
    if to_regclass(part) is not null then
        return;
    end if;
    execute format('create table %s (like ticks including defaults including constraints including storage)', part);
    execute format('alter table ticks attach partition %s for values from (%L) to (%L)', part, low, high);
end $$;

COMMENT ON FUNCTION public.make_tick_day(day date) IS 'Make a place for one IST day, in the schema of the ticks that the caller sees.';

CREATE FUNCTION public.move_table(name text, source text, target text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    moved regclass := format('%I.%I', source, name);
    part  regclass;
begin
    for part in select inhrelid::regclass from pg_inherits join pg_class on oid = inhrelid
                where inhparent = moved and relnamespace = source::regnamespace
    loop
        execute format('alter table %s set schema %I', part, target);
    end loop;
    execute format('alter table %s set schema %I', moved, target);
end $$;

COMMENT ON FUNCTION public.move_table(name text, source text, target text) IS 'Move a table with its partitions into another schema.';

CREATE FUNCTION public.roll_bucket(at timestamp with time zone, token bigint, width interval) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select date_bin(width, at at time zone 'Asia/Kolkata', date '2000-01-03' + candle_opens(token)) at time zone 'Asia/Kolkata'
$$;

CREATE FUNCTION public.roll_day(at timestamp with time zone, token bigint) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select ((at at time zone 'Asia/Kolkata')::date + candle_opens(token)) at time zone 'Asia/Kolkata'
$$;

CREATE FUNCTION public.rows_by_account(name text, account text) RETURNS TABLE(key text, body jsonb)
    LANGUAGE plpgsql
    AS $_$
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
end $_$;

COMMENT ON FUNCTION public.rows_by_account(name text, account text) IS 'The rows of one account, by their primary key.';

CREATE FUNCTION public.sum_by_account(name text) RETURNS TABLE(part text, rows bigint, checksum numeric)
    LANGUAGE plpgsql
    AS $_$
begin
    return query execute format(
        'select %1$s::text, count(*), sum(hash_record_extended(held, 0)) from %2$I held group by 1',
        account_column(name), name);
end $_$;

COMMENT ON FUNCTION public.sum_by_account(name text) IS 'A checksum of each account''s rows in the table of this name that the caller sees.';

CREATE FUNCTION public.swap_rebuild(of_projector text, place text, replaced text, names text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    name  text;
    view  record;
    views jsonb;
begin
    -- With nothing on the path every name is written out: the views are made again from what they say.
    perform set_config('search_path', '', true);
    select jsonb_agg(jsonb_build_object('name', pg_class.oid::regclass, 'query', pg_get_viewdef(pg_class.oid),
                                        'options', array_to_string(reloptions, ', ')))
    into views
    from pg_class
    where oid in (select public.views_over((select array_agg(format('public.%I', each)::regclass) from unnest(names) each)));
    execute format('create schema %I', replaced);
    foreach name in array names loop
        perform public.move_table(name, 'public', replaced);
        perform public.move_table(name, place, 'public');
        perform public.copy_rights(format('%I.%I', replaced, name), format('public.%I', name));
    end loop;
    for view in select * from jsonb_to_recordset(coalesce(views, '[]')) as (name text, query text, options text) loop
        execute format('create or replace view %s %s as %s', view.name,
                       case when view.options > '' then format('with (%s)', view.options) end, view.query);
    end loop;
    execute format('delete from public.parked_events held using %I.projection_checkpoints own '
                   'where held.projector = %L and held.stream = own.stream and held.n >= own.first', place, of_projector);
    execute format('insert into public.parked_events select * from %I.parked_events', place);
end $$;

COMMENT ON FUNCTION public.swap_rebuild(of_projector text, place text, replaced text, names text[]) IS 'Put the tables of a rebuild in the place of the live ones; both are locked by now.';

CREATE FUNCTION public.tick_days() RETURNS TABLE(part regclass, day date)
    LANGUAGE sql STABLE
    AS $$
    select inhrelid::regclass, to_date(right(relname, 8), 'YYYYMMDD')
    from pg_inherits join pg_class on pg_class.oid = inhrelid
    where inhparent = 'ticks'::regclass
$$;

CREATE FUNCTION public.views_over(tables regclass[]) RETURNS SETOF regclass
    LANGUAGE sql STABLE
    AS $$
    select distinct ev_class::regclass
    from pg_depend
    join pg_rewrite on classid = 'pg_rewrite'::regclass and objid = pg_rewrite.oid
    join pg_class on pg_class.oid = ev_class
    where refclassid = 'pg_class'::regclass and refobjid = any (tables::oid[]) and relkind = 'v'
      and relnamespace::regnamespace::text not like '\_timescaledb%'
$$;

COMMENT ON FUNCTION public.views_over(tables regclass[]) IS 'The views that read these tables; those of TimescaleDB''s own apart, which cannot be replaced.';

CREATE TABLE public.account_changes (
    cursor bigint NOT NULL,
    account_id text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    change text NOT NULL,
    before jsonb,
    after jsonb,
    observed_at timestamp with time zone NOT NULL,
    CONSTRAINT account_changes_change_check CHECK ((change = ANY (ARRAY['added'::text, 'changed'::text, 'removed'::text])))
);

COMMENT ON TABLE public.account_changes IS 'What one snapshot has that the one before had not; prices that move by themselves left out.';

COMMENT ON COLUMN public.account_changes.cursor IS 'n of the event times 2^20, and its place in it: growing over all accounts, and the same after a rebuild.';

CREATE TABLE public.closed_lots (
    account_id text NOT NULL,
    strategy_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    draft boolean NOT NULL,
    place integer NOT NULL,
    trip integer NOT NULL,
    day date NOT NULL,
    quantity numeric NOT NULL,
    open_value numeric NOT NULL,
    close_value numeric NOT NULL,
    realised numeric NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    opened_order_id text NOT NULL,
    opened_trade_id text NOT NULL,
    closed_at timestamp with time zone NOT NULL,
    closed_order_id text NOT NULL,
    closed_trade_id text NOT NULL,
    realised_average numeric
);

COMMENT ON TABLE public.closed_lots IS 'What closed what, first in first out: a part of a lot, and the fill that closed it. Short lots are negative.';

COMMENT ON COLUMN public.closed_lots.trip IS 'Of the book, from 1: a round trip lasts from flat to flat, or to a flip.';

COMMENT ON COLUMN public.closed_lots.realised_average IS 'By average cost: a closing''s result, shared out by quantity. Null where an older version closed it.';

CREATE TABLE public.multipliers (
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    multiplier numeric NOT NULL
);

COMMENT ON TABLE public.multipliers IS 'Units of the price in one of quantity, as positions told last; 1 where none did.';

CREATE TABLE public.trade_charges (
    account_id text NOT NULL,
    day date NOT NULL,
    exchange text NOT NULL,
    order_id text NOT NULL,
    trade_id text NOT NULL,
    segment text NOT NULL,
    brokerage numeric NOT NULL,
    transaction_tax numeric NOT NULL,
    transaction_tax_type text NOT NULL,
    exchange_charge numeric NOT NULL,
    sebi numeric NOT NULL,
    stamp numeric NOT NULL,
    ipft numeric NOT NULL,
    clearing numeric NOT NULL,
    gst numeric NOT NULL,
    dp numeric NOT NULL,
    total numeric NOT NULL
);

COMMENT ON TABLE public.trade_charges IS 'What each trade costs: its share of the day''s contract note, and of what the depository takes.';

CREATE TABLE public.trades (
    account_id text NOT NULL,
    day date NOT NULL,
    exchange text NOT NULL,
    order_id text NOT NULL,
    trade_id text NOT NULL,
    exchange_order_id text,
    "time" timestamp with time zone NOT NULL,
    tradingsymbol text NOT NULL,
    instrument_token bigint,
    product text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    strategy_id text,
    strategy_reason text DEFAULT ''::text NOT NULL,
    observed_at timestamp with time zone NOT NULL,
    absent_since timestamp with time zone,
    raw jsonb NOT NULL,
    n bigint NOT NULL,
    fold smallint DEFAULT 0 NOT NULL,
    draft_strategy_id text
);

COMMENT ON TABLE public.trades IS 'Every fill: the facts that all profit and loss is made of.';

COMMENT ON COLUMN public.trades.fold IS '0: not in its book yet, 1: in it, 2: told otherwise since.';

COMMENT ON COLUMN public.trades.draft_strategy_id IS 'Whose it would be if the draft rules were applied.';

CREATE VIEW public.account_performance_daily AS
 SELECT account_id,
    day,
    COALESCE(traded.trades, (0)::bigint) AS trades,
    COALESCE(traded.unique_symbols, (0)::bigint) AS unique_symbols,
    COALESCE(traded.turnover, (0)::numeric) AS turnover,
    COALESCE(won.realised, (0)::numeric) AS realised,
    COALESCE(traded.charges, (0)::numeric) AS charges,
    (COALESCE(won.realised, (0)::numeric) - COALESCE(traded.charges, (0)::numeric)) AS net,
    COALESCE(won.wins, (0)::bigint) AS wins,
    COALESCE(won.losses, (0)::bigint) AS losses,
    won.largest_win,
    won.largest_loss,
    won.volatility
   FROM (( SELECT trades.account_id,
            trades.day,
            count(*) AS trades,
            count(DISTINCT ROW(trades.exchange, trades.tradingsymbol)) AS unique_symbols,
            sum(((trades.quantity * trades.price) * COALESCE(multipliers.multiplier, (1)::numeric))) AS turnover,
            sum(trade_charges.total) AS charges
           FROM ((public.trades
             LEFT JOIN public.trade_charges USING (account_id, day, exchange, order_id, trade_id))
             LEFT JOIN public.multipliers USING (exchange, tradingsymbol))
          GROUP BY trades.account_id, trades.day) traded
     FULL JOIN ( SELECT closing.account_id,
            closing.day,
            sum(closing.realised) AS realised,
            count(*) FILTER (WHERE (closing.realised > (0)::numeric)) AS wins,
            count(*) FILTER (WHERE (closing.realised < (0)::numeric)) AS losses,
            max(closing.realised) FILTER (WHERE (closing.realised > (0)::numeric)) AS largest_win,
            min(closing.realised) FILTER (WHERE (closing.realised < (0)::numeric)) AS largest_loss,
            stddev_samp(closing.realised) AS volatility
           FROM ( SELECT closed_lots.account_id,
                    closed_lots.day,
                    sum(closed_lots.realised) AS realised
                   FROM public.closed_lots
                  WHERE (NOT closed_lots.draft)
                  GROUP BY closed_lots.account_id, closed_lots.day, closed_lots.strategy_id, closed_lots.exchange, closed_lots.closed_order_id, closed_lots.closed_trade_id) closing
          GROUP BY closing.account_id, closing.day) won USING (account_id, day));

COMMENT ON VIEW public.account_performance_daily IS 'Each account''s day: trades, what closing ones won and lost, what it cost; volatility is the deviation of the wins and losses.';

CREATE TABLE public.account_snapshots (
    account_id text NOT NULL,
    kind text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone NOT NULL,
    asked_ns bigint NOT NULL,
    sha256 text NOT NULL,
    rows integer NOT NULL,
    n bigint NOT NULL,
    body_n bigint NOT NULL,
    body bytea NOT NULL
);

COMMENT ON TABLE public.account_snapshots IS 'The newest answer of each kind: its body (zstd) is what the next one is compared with.';

CREATE TABLE public.attribution_rules (
    rule_id text NOT NULL,
    draft boolean NOT NULL,
    n bigint NOT NULL,
    strategy_id text NOT NULL,
    kind text NOT NULL,
    pattern text NOT NULL,
    account_id text NOT NULL,
    priority integer NOT NULL,
    valid_from date,
    valid_to date,
    set_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);

COMMENT ON TABLE public.attribution_rules IS 'Each rule that was ever set; those without an end count now, drafts beside them.';

CREATE TABLE public.bahi_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    flavour text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.books (
    account_id text NOT NULL,
    strategy_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    draft boolean NOT NULL,
    multiplier numeric NOT NULL,
    quantity numeric NOT NULL,
    fifo_price numeric,
    average_price numeric,
    fifo_value numeric NOT NULL,
    average_value numeric NOT NULL,
    realised_fifo numeric NOT NULL,
    realised_average numeric NOT NULL,
    cash_flow numeric NOT NULL,
    opening_quantity numeric NOT NULL,
    opening_value numeric NOT NULL,
    bought_quantity numeric NOT NULL,
    bought_value numeric NOT NULL,
    sold_quantity numeric NOT NULL,
    sold_value numeric NOT NULL,
    closed integer NOT NULL,
    last_at timestamp with time zone,
    state jsonb NOT NULL
);

COMMENT ON TABLE public.books IS 'Each strategy''s fills of one instrument and product, folded: what is open, what was won. Gross.';

COMMENT ON COLUMN public.books.strategy_id IS '`none` for what belongs to none.';

COMMENT ON COLUMN public.books.draft IS 'As it would be if the draft rules were applied; to be looked at beside the others, never added.';

COMMENT ON COLUMN public.books.closed IS 'How many rows of closed_lots it has made.';

CREATE TABLE public.broker_charges (
    account_id text NOT NULL,
    day date NOT NULL,
    order_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    average_price numeric NOT NULL,
    brokerage numeric,
    transaction_tax numeric,
    transaction_tax_type text,
    exchange_charge numeric,
    sebi numeric,
    stamp numeric,
    gst numeric,
    total numeric,
    ours jsonb,
    asked_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone NOT NULL,
    raw jsonb NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.broker_charges IS 'What the broker''s virtual contract note says of each executed order; docs/reconciliation.md.';

COMMENT ON COLUMN public.broker_charges.quantity IS 'What was filled of the order when the broker was asked; average_price is at what.';

COMMENT ON COLUMN public.broker_charges.exchange_charge IS 'With the investor protection fund and clearing, as the broker shows them.';

COMMENT ON COLUMN public.broker_charges.ours IS 'What our table of charges gives instead, where that is not the same; of the newest day alone.';

COMMENT ON COLUMN public.broker_charges.n IS 'Of one answer: orders with the same n were asked about together.';

CREATE TABLE public.candle_clocks (
    stream_id smallint NOT NULL,
    newest_ns bigint NOT NULL,
    newest_at_ns bigint NOT NULL,
    watermark_ns bigint NOT NULL
);

COMMENT ON TABLE public.candle_clocks IS 'The newest exchange time of a stream, when it came, and up to where candles are closed.';

CREATE TABLE public.candle_subscriptions (
    stream_id smallint NOT NULL,
    tokens bigint[] NOT NULL
);

COMMENT ON TABLE public.candle_subscriptions IS 'What a stream was seen to subscribe last.';

CREATE TABLE public.candle_uncovered (
    stream_id smallint NOT NULL,
    instrument_token bigint NOT NULL,
    from_time timestamp with time zone NOT NULL,
    to_time timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.candle_uncovered IS 'When a stream (token 0) or one instrument in it was not received; to_time is infinity while it is not subscribed.';

CREATE TABLE public.candle_volumes (
    stream_id smallint NOT NULL,
    instrument_token bigint NOT NULL,
    day date NOT NULL,
    highest bigint NOT NULL,
    seen date NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE public.candle_volumes IS 'The highest day''s volume seen so far: what a tick adds is counted from it.';

COMMENT ON COLUMN public.candle_volumes.seen IS 'The IST day on which the newest of its ticks was received; forgotten by it.';

CREATE TABLE public.candles_1m (
    bucket timestamp with time zone NOT NULL,
    instrument_token bigint NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume bigint NOT NULL,
    oi bigint,
    tick_count integer NOT NULL,
    coverage double precision NOT NULL,
    source text NOT NULL,
    revision integer DEFAULT 0 NOT NULL,
    volume_falls integer DEFAULT 0 NOT NULL,
    stream_id smallint NOT NULL
)
WITH (fillfactor='70');

COMMENT ON COLUMN public.candles_1m.revision IS 'How many ticks came after the candle had closed.';

COMMENT ON COLUMN public.candles_1m.volume_falls IS 'How often the day''s counter fell in this minute.';

CREATE VIEW public.candles_15m AS
 SELECT rolled AS bucket,
    instrument_token,
    (array_agg(open ORDER BY each.bucket))[1] AS open,
    max(high) AS high,
    min(low) AS low,
    (array_agg(close ORDER BY each.bucket DESC))[1] AS close,
    (sum(volume))::bigint AS volume,
    (array_agg(oi ORDER BY each.bucket DESC) FILTER (WHERE (oi IS NOT NULL)))[1] AS oi,
    (sum(tick_count))::integer AS tick_count,
    public.candle_coverage(array_agg(DISTINCT stream_id), instrument_token, rolled, (rolled + '00:15:00'::interval)) AS coverage,
        CASE
            WHEN (min(source) = max(source)) THEN min(source)
            ELSE 'mixed'::text
        END AS source
   FROM ( SELECT candles_1m.bucket,
            candles_1m.instrument_token,
            candles_1m.open,
            candles_1m.high,
            candles_1m.low,
            candles_1m.close,
            candles_1m.volume,
            candles_1m.oi,
            candles_1m.tick_count,
            candles_1m.coverage,
            candles_1m.source,
            candles_1m.revision,
            candles_1m.volume_falls,
            candles_1m.stream_id,
            public.roll_bucket(candles_1m.bucket, candles_1m.instrument_token, '00:15:00'::interval) AS rolled
           FROM public.candles_1m) each
  GROUP BY rolled, instrument_token;

CREATE VIEW public.candles_1d AS
 SELECT rolled AS bucket,
    instrument_token,
    (array_agg(open ORDER BY each.bucket))[1] AS open,
    max(high) AS high,
    min(low) AS low,
    (array_agg(close ORDER BY each.bucket DESC))[1] AS close,
    (sum(volume))::bigint AS volume,
    (array_agg(oi ORDER BY each.bucket DESC) FILTER (WHERE (oi IS NOT NULL)))[1] AS oi,
    (sum(tick_count))::integer AS tick_count,
    public.candle_coverage(array_agg(DISTINCT stream_id), instrument_token, rolled, (rolled + public.candle_day(instrument_token))) AS coverage,
        CASE
            WHEN (min(source) = max(source)) THEN min(source)
            ELSE 'mixed'::text
        END AS source
   FROM ( SELECT candles_1m.bucket,
            candles_1m.instrument_token,
            candles_1m.open,
            candles_1m.high,
            candles_1m.low,
            candles_1m.close,
            candles_1m.volume,
            candles_1m.oi,
            candles_1m.tick_count,
            candles_1m.coverage,
            candles_1m.source,
            candles_1m.revision,
            candles_1m.volume_falls,
            candles_1m.stream_id,
            public.roll_day(candles_1m.bucket, candles_1m.instrument_token) AS rolled
           FROM public.candles_1m) each
  GROUP BY rolled, instrument_token;

CREATE VIEW public.candles_1h AS
 SELECT rolled AS bucket,
    instrument_token,
    (array_agg(open ORDER BY each.bucket))[1] AS open,
    max(high) AS high,
    min(low) AS low,
    (array_agg(close ORDER BY each.bucket DESC))[1] AS close,
    (sum(volume))::bigint AS volume,
    (array_agg(oi ORDER BY each.bucket DESC) FILTER (WHERE (oi IS NOT NULL)))[1] AS oi,
    (sum(tick_count))::integer AS tick_count,
    public.candle_coverage(array_agg(DISTINCT stream_id), instrument_token, rolled, (rolled + '01:00:00'::interval)) AS coverage,
        CASE
            WHEN (min(source) = max(source)) THEN min(source)
            ELSE 'mixed'::text
        END AS source
   FROM ( SELECT candles_1m.bucket,
            candles_1m.instrument_token,
            candles_1m.open,
            candles_1m.high,
            candles_1m.low,
            candles_1m.close,
            candles_1m.volume,
            candles_1m.oi,
            candles_1m.tick_count,
            candles_1m.coverage,
            candles_1m.source,
            candles_1m.revision,
            candles_1m.volume_falls,
            candles_1m.stream_id,
            public.roll_bucket(candles_1m.bucket, candles_1m.instrument_token, '01:00:00'::interval) AS rolled
           FROM public.candles_1m) each
  GROUP BY rolled, instrument_token;

CREATE VIEW public.candles_5m AS
 SELECT rolled AS bucket,
    instrument_token,
    (array_agg(open ORDER BY each.bucket))[1] AS open,
    max(high) AS high,
    min(low) AS low,
    (array_agg(close ORDER BY each.bucket DESC))[1] AS close,
    (sum(volume))::bigint AS volume,
    (array_agg(oi ORDER BY each.bucket DESC) FILTER (WHERE (oi IS NOT NULL)))[1] AS oi,
    (sum(tick_count))::integer AS tick_count,
    public.candle_coverage(array_agg(DISTINCT stream_id), instrument_token, rolled, (rolled + '00:05:00'::interval)) AS coverage,
        CASE
            WHEN (min(source) = max(source)) THEN min(source)
            ELSE 'mixed'::text
        END AS source
   FROM ( SELECT candles_1m.bucket,
            candles_1m.instrument_token,
            candles_1m.open,
            candles_1m.high,
            candles_1m.low,
            candles_1m.close,
            candles_1m.volume,
            candles_1m.oi,
            candles_1m.tick_count,
            candles_1m.coverage,
            candles_1m.source,
            candles_1m.revision,
            candles_1m.volume_falls,
            candles_1m.stream_id,
            public.roll_bucket(candles_1m.bucket, candles_1m.instrument_token, '00:05:00'::interval) AS rolled
           FROM public.candles_1m) each
  GROUP BY rolled, instrument_token;

CREATE TABLE public.corporate_actions (
    action_id text NOT NULL,
    kind text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    day date NOT NULL,
    ratio_old integer NOT NULL,
    ratio_new integer NOT NULL
);

COMMENT ON TABLE public.corporate_actions IS 'Splits and bonus issues: so many shares for each so many, from the morning of the day on.';

CREATE TABLE public.corrections (
    account_id text NOT NULL,
    fill_id text NOT NULL,
    day date NOT NULL,
    "time" timestamp with time zone NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    order_id text NOT NULL,
    strategy_id text,
    reason text NOT NULL,
    set_at timestamp with time zone NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.corrections IS 'Fills told by hand: of an expiry, a conversion, a transfer, an allotment, a day that was missed. They cost nothing.';

COMMENT ON COLUMN public.corrections.order_id IS 'Of the order that it is a fill of; empty for none.';

CREATE VIEW public.daily_pnl_by_strategy AS
 SELECT account_id,
    strategy_id,
    day,
    COALESCE(won.realised, (0)::numeric) AS realised,
    COALESCE(paid.charges, (0)::numeric) AS charges,
    (COALESCE(won.realised, (0)::numeric) - COALESCE(paid.charges, (0)::numeric)) AS net,
    COALESCE(paid.trades, (0)::bigint) AS trades,
    COALESCE(paid.turnover, (0)::numeric) AS turnover,
    COALESCE(won.wins, (0)::bigint) AS wins,
    COALESCE(won.losses, (0)::bigint) AS losses,
        CASE
            WHEN (won.realised IS NULL) THEN (0)::numeric
            ELSE won.realised_average
        END AS realised_average
   FROM (( SELECT closing.account_id,
            closing.strategy_id,
            closing.day,
            sum(closing.realised) AS realised,
            count(*) FILTER (WHERE (closing.realised > (0)::numeric)) AS wins,
            count(*) FILTER (WHERE (closing.realised < (0)::numeric)) AS losses,
                CASE
                    WHEN bool_and(closing.is_whole) THEN sum(closing.realised_average)
                    ELSE NULL::numeric
                END AS realised_average
           FROM ( SELECT closed_lots.account_id,
                    closed_lots.strategy_id,
                    closed_lots.day,
                    closed_lots.closed_order_id,
                    closed_lots.closed_trade_id,
                    sum(closed_lots.realised) AS realised,
                    (count(closed_lots.realised_average) = count(*)) AS is_whole,
                    sum(closed_lots.realised_average) AS realised_average
                   FROM public.closed_lots
                  WHERE (NOT closed_lots.draft)
                  GROUP BY closed_lots.account_id, closed_lots.strategy_id, closed_lots.day, closed_lots.exchange, closed_lots.closed_order_id, closed_lots.closed_trade_id) closing
          GROUP BY closing.account_id, closing.strategy_id, closing.day) won
     FULL JOIN ( SELECT trades.account_id,
            COALESCE(trades.strategy_id, 'none'::text) AS strategy_id,
            trades.day,
            sum(trade_charges.total) AS charges,
            count(*) AS trades,
            sum(((trades.quantity * trades.price) * COALESCE(multipliers.multiplier, (1)::numeric))) AS turnover
           FROM ((public.trades
             LEFT JOIN public.trade_charges USING (account_id, day, exchange, order_id, trade_id))
             LEFT JOIN public.multipliers USING (exchange, tradingsymbol))
          GROUP BY trades.account_id, COALESCE(trades.strategy_id, 'none'::text), trades.day) paid USING (account_id, strategy_id, day));

COMMENT ON VIEW public.daily_pnl_by_strategy IS 'What each strategy won by closing (first in first out, and by average cost) on each day, what its trades cost, and how many.';

CREATE TABLE public.day_positions (
    account_id text CONSTRAINT positions_account_id_not_null NOT NULL,
    exchange text CONSTRAINT positions_exchange_not_null NOT NULL,
    tradingsymbol text CONSTRAINT positions_tradingsymbol_not_null NOT NULL,
    product text CONSTRAINT positions_product_not_null NOT NULL,
    instrument_token bigint,
    quantity numeric CONSTRAINT positions_quantity_not_null NOT NULL,
    overnight_quantity numeric DEFAULT 0 CONSTRAINT positions_overnight_quantity_not_null NOT NULL,
    multiplier numeric DEFAULT 1 CONSTRAINT positions_multiplier_not_null NOT NULL,
    average_price numeric,
    close_price numeric,
    last_price numeric,
    pnl numeric,
    day_pnl numeric,
    realised numeric,
    unrealised numeric,
    buy_quantity numeric,
    buy_value numeric,
    sell_quantity numeric,
    sell_value numeric,
    strategy_id text,
    synced_at timestamp with time zone CONSTRAINT positions_synced_at_not_null NOT NULL,
    raw jsonb CONSTRAINT positions_raw_not_null NOT NULL,
    n bigint CONSTRAINT positions_n_not_null NOT NULL
);

COMMENT ON TABLE public.day_positions IS 'What was traded today, as the broker last told; positions are the other view of the same.';

COMMENT ON COLUMN public.day_positions.day_pnl IS 'The broker''s m2m: against yesterday''s close.';

COMMENT ON COLUMN public.day_positions.strategy_id IS 'Whose it is, where all of it is one strategy''s; strategy_positions splits it otherwise.';

CREATE TABLE public.decisions (
    stream text NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.decisions IS 'How far the requests of each stream were taken in: one that is forwarded twice counts once.';

CREATE TABLE public.divergences (
    account_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    type text NOT NULL,
    ours numeric NOT NULL,
    theirs numeric NOT NULL,
    settling boolean NOT NULL,
    evidence jsonb NOT NULL,
    observed_at timestamp with time zone NOT NULL,
    CONSTRAINT divergences_type_check CHECK ((type = ANY (ARRAY['missing_fill'::text, 'manual_trade'::text, 'corporate_action'::text, 'conversion'::text, 'expired'::text, 'quantity'::text, 'average_price'::text, 'pnl'::text, 'charge'::text])))
);

COMMENT ON TABLE public.divergences IS 'What stands otherwise in our books than at the broker, by the newest answers: docs/reconciliation.md.';

COMMENT ON COLUMN public.divergences.ours IS 'A quantity, a price or an amount, as the type says; theirs is the broker''s.';

COMMENT ON COLUMN public.divergences.settling IS 'One side moved after the other was asked: the next pull may mend it, and it raises no alarm.';

COMMENT ON COLUMN public.divergences.observed_at IS 'When the newest of the answers was given that it follows from.';

CREATE TABLE public.feed_gaps (
    feed text NOT NULL,
    connection integer NOT NULL,
    stream text NOT NULL,
    from_time timestamp with time zone NOT NULL,
    to_time timestamp with time zone,
    reason text NOT NULL,
    filled boolean DEFAULT false NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.feed_gaps IS 'Losses of feed, in receive time; to_time is null while one lasts.';

CREATE TABLE public.holdings (
    account_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    isin text,
    instrument_token bigint,
    product text,
    quantity numeric NOT NULL,
    t1_quantity numeric DEFAULT 0 NOT NULL,
    realised_quantity numeric,
    used_quantity numeric,
    authorised_quantity numeric,
    opening_quantity numeric,
    short_quantity numeric,
    collateral_quantity numeric,
    collateral_type text,
    average_price numeric,
    close_price numeric,
    last_price numeric,
    pnl numeric,
    day_change numeric,
    synced_at timestamp with time zone NOT NULL,
    raw jsonb NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.holdings IS 'The shares in the depository as the broker last told.';

CREATE VIEW public.hourly_trade_volume AS
 SELECT trades.account_id,
    trades.exchange,
    trades.tradingsymbol,
    date_trunc('hour'::text, trades."time", 'Asia/Kolkata'::text) AS hour,
    count(*) AS trades,
    sum(trades.quantity) AS quantity,
    sum(((trades.quantity * trades.price) * COALESCE(multipliers.multiplier, (1)::numeric))) AS value
   FROM (public.trades
     LEFT JOIN public.multipliers USING (exchange, tradingsymbol))
  GROUP BY trades.account_id, trades.exchange, trades.tradingsymbol, (date_trunc('hour'::text, trades."time", 'Asia/Kolkata'::text));

COMMENT ON VIEW public.hourly_trade_volume IS 'How much was traded in each hour of Indian time.';

CREATE TABLE public.instrument_dumps (
    broker text NOT NULL,
    day date NOT NULL,
    n bigint NOT NULL,
    rows integer NOT NULL,
    sha256 text NOT NULL,
    at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.instrument_dumps IS 'The dump that stands for each day.';

CREATE TABLE public.instruments (
    instrument_token bigint NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    name text NOT NULL,
    segment text NOT NULL,
    instrument_type text NOT NULL,
    expiry date,
    strike double precision,
    tick_size double precision NOT NULL,
    lot_size bigint NOT NULL,
    exchange_token bigint NOT NULL,
    broker text NOT NULL,
    valid_from date NOT NULL,
    valid_to date
);

COMMENT ON COLUMN public.instruments.valid_to IS 'The last day on which a dump had it so; null while the newest dump has it.';

CREATE TABLE public.lost_rows (
    projector text NOT NULL,
    stream text NOT NULL,
    n bigint NOT NULL,
    lost bigint NOT NULL,
    noted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE public.lost_rows IS 'Rows of events that a log.takeover (n) gave up as lost: nobody else gets them, and the projection is to be rebuilt.';

CREATE TABLE public.margins (
    account_id text NOT NULL,
    segment text NOT NULL,
    enabled boolean,
    net numeric,
    available jsonb NOT NULL,
    utilised jsonb NOT NULL,
    synced_at timestamp with time zone NOT NULL,
    raw jsonb NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.margins IS 'The funds of each segment as the broker last told.';

CREATE TABLE public.missing_fills (
    account_id text NOT NULL,
    day date NOT NULL,
    order_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    side text NOT NULL,
    filled_quantity numeric NOT NULL,
    traded_quantity numeric NOT NULL,
    observed_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.missing_fills IS 'Orders of which the broker says that more was filled than its trades come to.';

COMMENT ON COLUMN public.missing_fills.observed_at IS 'When this state of the order was answered to us.';

CREATE TABLE public.opening_lots (
    account_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    day date NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    strategy_id text,
    n bigint NOT NULL
);

COMMENT ON TABLE public.opening_lots IS 'What was there before the first fill that is known, as the first snapshot told.';

CREATE TABLE public.order_history (
    account_id text NOT NULL,
    day date NOT NULL,
    order_id text NOT NULL,
    n bigint NOT NULL,
    status text NOT NULL,
    status_message text,
    quantity numeric,
    price numeric,
    trigger_price numeric,
    filled_quantity numeric,
    pending_quantity numeric,
    cancelled_quantity numeric,
    average_price numeric,
    told_at timestamp with time zone,
    observed_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.order_history IS 'Each state in which an order was seen: between two pulls it may have had others.';

CREATE TABLE public.orders (
    account_id text NOT NULL,
    day date NOT NULL,
    order_id text NOT NULL,
    exchange_order_id text,
    parent_order_id text,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    instrument_token bigint,
    side text NOT NULL,
    order_type text,
    product text,
    variety text,
    validity text,
    quantity numeric NOT NULL,
    disclosed_quantity numeric,
    price numeric,
    trigger_price numeric,
    filled_quantity numeric DEFAULT 0 NOT NULL,
    pending_quantity numeric,
    cancelled_quantity numeric,
    average_price numeric,
    status text NOT NULL,
    status_message text,
    tag text,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    strategy_id text,
    strategy_reason text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    exchange_at timestamp with time zone,
    observed_at timestamp with time zone NOT NULL,
    absent_since timestamp with time zone,
    raw jsonb NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.orders IS 'Every order, in its newest state; order_history has the others.';

COMMENT ON COLUMN public.orders.created_at IS 'When the broker took it, as it first said; updated_at is the newest time that it told.';

COMMENT ON COLUMN public.orders.absent_since IS 'Since when the broker does not list it any more, on its own day; nothing that it said is taken back.';

CREATE TABLE public.parked_decisions (
    requests_stream text NOT NULL,
    requests_n bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    decision text NOT NULL,
    projector text NOT NULL,
    stream text NOT NULL,
    n bigint NOT NULL,
    reason text NOT NULL,
    asked_by text NOT NULL,
    key text NOT NULL,
    CONSTRAINT parked_decisions_decision_check CHECK ((decision = ANY (ARRAY['retry'::text, 'set_aside'::text])))
);

COMMENT ON TABLE public.parked_decisions IS 'Requests to retry parked events or to set them aside, from the log: the newest one counts.';

CREATE TABLE public.parked_events (
    projector text NOT NULL,
    stream text NOT NULL,
    n bigint NOT NULL,
    part integer DEFAULT 0 NOT NULL,
    at timestamp with time zone NOT NULL,
    error text NOT NULL,
    packets integer DEFAULT 0 NOT NULL,
    payload bytea NOT NULL
);

COMMENT ON TABLE public.parked_events IS 'Events, or parts of them, that could not be read: whole, with the reason.';

CREATE TABLE public.parked_tries (
    requests_stream text NOT NULL,
    requests_n bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    projector text NOT NULL,
    stream text NOT NULL,
    n bigint NOT NULL,
    gained bigint NOT NULL,
    packets_left bigint NOT NULL,
    unread boolean NOT NULL,
    refused text
);

COMMENT ON TABLE public.parked_tries IS 'What came of each retry: one request is one try, also over rebuilds, so this is never rebuilt.';

COMMENT ON COLUMN public.parked_tries.gained IS 'Packets that could not be stored before, and are rows now.';

COMMENT ON COLUMN public.parked_tries.unread IS 'Whether it had been the decoder that refused, and not the database: then candles lack it as well.';

CREATE VIEW public.parked AS
 SELECT held.projector,
    held.stream,
    held.n,
    held.at,
    held.parts,
    held.packets,
    held.bytes,
    held.error,
        CASE
            WHEN (told.decision = 'set_aside'::text) THEN 'set_aside'::text
            WHEN ((told.decision = 'retry'::text) AND (NOT told.tried)) THEN 'retry_wanted'::text
            ELSE 'waiting'::text
        END AS state,
    told.decision,
    told.at AS decided_at,
    told.reason,
    told.asked_by,
    told.requests_stream,
    told.requests_n
   FROM (( SELECT parked_events.projector,
            parked_events.stream,
            parked_events.n,
            min(parked_events.at) AS at,
            count(*) AS parts,
            sum(parked_events.packets) AS packets,
            sum(octet_length(parked_events.payload)) AS bytes,
            (array_agg(parked_events.error ORDER BY parked_events.part))[1] AS error
           FROM public.parked_events
          GROUP BY parked_events.projector, parked_events.stream, parked_events.n) held
     LEFT JOIN LATERAL ( SELECT said.requests_stream,
            said.requests_n,
            said.at,
            said.decision,
            said.projector,
            said.stream,
            said.n,
            said.reason,
            said.asked_by,
            said.key,
            (EXISTS ( SELECT
                   FROM public.parked_tries tried
                  WHERE ((tried.requests_stream = said.requests_stream) AND (tried.requests_n = said.requests_n)))) AS tried
           FROM public.parked_decisions said
          WHERE ((said.projector = held.projector) AND (said.stream = held.stream) AND (said.n = held.n))
          ORDER BY said.at DESC, said.requests_stream DESC, said.requests_n DESC
         LIMIT 1) told ON (true));

COMMENT ON VIEW public.parked IS 'Each parked event with its state: waiting for a decision, retry_wanted, set_aside.';

CREATE TABLE public.positions (
    account_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    instrument_token bigint,
    quantity numeric NOT NULL,
    overnight_quantity numeric DEFAULT 0 NOT NULL,
    multiplier numeric DEFAULT 1 NOT NULL,
    average_price numeric,
    close_price numeric,
    last_price numeric,
    pnl numeric,
    day_pnl numeric,
    realised numeric,
    unrealised numeric,
    buy_quantity numeric,
    buy_value numeric,
    sell_quantity numeric,
    sell_value numeric,
    strategy_id text,
    synced_at timestamp with time zone NOT NULL,
    raw jsonb NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.positions IS 'The net positions as the broker last told; day_positions are another view of the same, never to be added.';

COMMENT ON COLUMN public.positions.day_pnl IS 'The broker''s m2m: against yesterday''s close.';

COMMENT ON COLUMN public.positions.strategy_id IS 'Whose it is, where all of it is one strategy''s; strategy_positions splits it otherwise.';

CREATE TABLE public.projection_checkpoints (
    projector text NOT NULL,
    stream text NOT NULL,
    n bigint DEFAULT 0 NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    owner text,
    lease_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT projection_checkpoints_check CHECK (((n >= 0) AND (epoch >= 0)))
)
WITH (fillfactor='50');

COMMENT ON TABLE public.projection_checkpoints IS 'How far each projector has committed each stream. The one truth about it.';

CREATE TABLE public.projections (
    projector text NOT NULL,
    version integer NOT NULL,
    generation bigint DEFAULT 1 NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE public.projections IS 'The tables of each projector: by which version they were made, how often they were replaced.';

CREATE TABLE public.round_trips (
    account_id text NOT NULL,
    strategy_id text NOT NULL,
    exchange text NOT NULL,
    tradingsymbol text NOT NULL,
    product text NOT NULL,
    trip integer NOT NULL,
    day date NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    realised numeric NOT NULL,
    charges numeric NOT NULL
);

COMMENT ON TABLE public.round_trips IS 'Each round trip of a book that has ended: what its closings won (first in first out), and its share of what its trades cost.';

CREATE TABLE public.strategies (
    strategy_id text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    active boolean NOT NULL,
    set_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.strategies IS 'The strategies that users described; a tag may name others.';

CREATE VIEW public.strategy_positions AS
 SELECT books.account_id,
    books.strategy_id,
    books.exchange,
    books.tradingsymbol,
    books.product,
    books.draft,
    books.quantity,
    books.multiplier,
    books.fifo_price,
    books.average_price,
    books.realised_fifo,
    books.realised_average,
    books.cash_flow,
    books.opening_value,
    COALESCE(net.last_price, held.last_price) AS last_price,
        CASE
            WHEN (books.quantity = (0)::numeric) THEN (0)::numeric
            ELSE ((books.quantity * COALESCE(net.last_price, held.last_price)) * books.multiplier)
        END AS market_value,
        CASE
            WHEN (books.quantity = (0)::numeric) THEN (0)::numeric
            ELSE (((books.quantity * COALESCE(net.last_price, held.last_price)) * books.multiplier) - books.fifo_value)
        END AS unrealised_fifo,
        CASE
            WHEN (books.quantity = (0)::numeric) THEN (0)::numeric
            ELSE (((books.quantity * COALESCE(net.last_price, held.last_price)) * books.multiplier) - books.average_value)
        END AS unrealised_average
   FROM ((public.books
     LEFT JOIN public.positions net USING (account_id, exchange, tradingsymbol, product))
     LEFT JOIN public.holdings held ON (((held.account_id = books.account_id) AND (held.exchange = books.exchange) AND (held.tradingsymbol = books.tradingsymbol) AND (books.product = ANY (ARRAY['CNC'::text, 'MTF'::text])))));

COMMENT ON VIEW public.strategy_positions IS 'Each book at the last price that the broker told; null where it told none.';

CREATE TABLE public.streams (
    stream_id smallint NOT NULL,
    stream text NOT NULL
);

COMMENT ON TABLE public.streams IS 'A short number for each stream, as rows of ticks and candles carry it. Never rebuilt.';

ALTER TABLE public.streams ALTER COLUMN stream_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.streams_stream_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.sync_runs (
    n bigint NOT NULL,
    account_id text NOT NULL,
    run text NOT NULL,
    trigger text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    kinds text[] NOT NULL,
    counts jsonb NOT NULL,
    outcome text NOT NULL,
    success boolean NOT NULL,
    error text,
    results jsonb NOT NULL,
    asked jsonb NOT NULL
);

COMMENT ON TABLE public.sync_runs IS 'Each run over an account: what came, what did not, and which requests it answers.';

CREATE TABLE public.tariffs (
    broker text NOT NULL,
    shipped boolean NOT NULL,
    text text NOT NULL,
    sha256 text NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.tariffs IS 'By which table of charges each broker''s accounts are reckoned: a user''s before the shipped one.';

CREATE TABLE public.ticks (
    "time" timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    instrument_token bigint NOT NULL,
    last_price double precision NOT NULL,
    last_quantity bigint,
    average_price double precision,
    volume bigint,
    buy_quantity bigint,
    sell_quantity bigint,
    oi bigint,
    bid_price double precision,
    bid_quantity bigint,
    ask_price double precision,
    ask_quantity bigint,
    n bigint NOT NULL,
    stream_id smallint NOT NULL,
    flags smallint NOT NULL
)
PARTITION BY RANGE ("time");

CREATE TABLE public.trading_accounts (
    account_id text NOT NULL,
    broker text NOT NULL,
    broker_user text DEFAULT ''::text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    last_sync_at timestamp with time zone,
    last_sync_status text,
    last_sync_error text,
    last_success_at timestamp with time zone,
    trades_count bigint DEFAULT 0 NOT NULL,
    orders_count bigint DEFAULT 0 NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE public.trading_accounts IS 'Each account that is or was pulled, and what came of its last run.';

COMMENT ON COLUMN public.trading_accounts.last_sync_status IS 'ok, partial (some kinds came), failed, or refused (log in again).';

CREATE TABLE public.uncharged (
    account_id text NOT NULL,
    day date NOT NULL,
    exchange text NOT NULL,
    error text NOT NULL
);

COMMENT ON TABLE public.uncharged IS 'Days whose charges cannot be reckoned, and why: no tariff, or an instrument of no known segment.';

CREATE TABLE public.workers (
    worker text NOT NULL,
    pairs jsonb NOT NULL,
    alive_until timestamp with time zone NOT NULL,
    halted jsonb DEFAULT '[]'::jsonb NOT NULL
);

COMMENT ON TABLE public.workers IS 'The processes that run projectors, what each of them could run, and until when it counts as alive.';

COMMENT ON COLUMN public.workers.pairs IS 'Arrays of projector, stream and weight: what this process knows and sees.';

COMMENT ON COLUMN public.workers.halted IS 'Objects of projector, stream, n, wanted, found, remedy and at_ns: its pairs that do not go on, each before event n.';

ALTER TABLE ONLY public.account_changes
    ADD CONSTRAINT account_changes_pkey PRIMARY KEY (cursor);

ALTER TABLE ONLY public.account_snapshots
    ADD CONSTRAINT account_snapshots_pkey PRIMARY KEY (account_id, kind);

ALTER TABLE ONLY public.attribution_rules
    ADD CONSTRAINT attribution_rules_pkey PRIMARY KEY (rule_id, draft, n);

ALTER TABLE ONLY public.bahi_migrations
    ADD CONSTRAINT bahi_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.books
    ADD CONSTRAINT books_pkey PRIMARY KEY (account_id, strategy_id, exchange, tradingsymbol, product, draft);

ALTER TABLE ONLY public.broker_charges
    ADD CONSTRAINT broker_charges_pkey PRIMARY KEY (account_id, day, order_id);

ALTER TABLE ONLY public.candle_clocks
    ADD CONSTRAINT candle_clocks_pkey PRIMARY KEY (stream_id);

ALTER TABLE ONLY public.candle_subscriptions
    ADD CONSTRAINT candle_subscriptions_pkey PRIMARY KEY (stream_id);

ALTER TABLE ONLY public.candle_uncovered
    ADD CONSTRAINT candle_uncovered_pkey PRIMARY KEY (stream_id, instrument_token, from_time);

ALTER TABLE ONLY public.candle_volumes
    ADD CONSTRAINT candle_volumes_pkey PRIMARY KEY (stream_id, instrument_token, day);

ALTER TABLE ONLY public.candles_1m
    ADD CONSTRAINT candles_1m_pkey PRIMARY KEY (instrument_token, bucket);

ALTER TABLE ONLY public.closed_lots
    ADD CONSTRAINT closed_lots_pkey PRIMARY KEY (account_id, strategy_id, exchange, tradingsymbol, product, draft, place);

ALTER TABLE ONLY public.corporate_actions
    ADD CONSTRAINT corporate_actions_pkey PRIMARY KEY (action_id);

ALTER TABLE ONLY public.corrections
    ADD CONSTRAINT corrections_pkey PRIMARY KEY (account_id, fill_id);

ALTER TABLE ONLY public.day_positions
    ADD CONSTRAINT day_positions_pkey PRIMARY KEY (account_id, exchange, tradingsymbol, product);

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (stream);

ALTER TABLE ONLY public.divergences
    ADD CONSTRAINT divergences_pkey PRIMARY KEY (account_id, exchange, tradingsymbol, product, type);

ALTER TABLE ONLY public.feed_gaps
    ADD CONSTRAINT feed_gaps_pkey PRIMARY KEY (stream, from_time);

ALTER TABLE ONLY public.holdings
    ADD CONSTRAINT holdings_pkey PRIMARY KEY (account_id, exchange, tradingsymbol);

ALTER TABLE ONLY public.instrument_dumps
    ADD CONSTRAINT instrument_dumps_pkey PRIMARY KEY (broker, day);

ALTER TABLE ONLY public.instruments
    ADD CONSTRAINT instruments_pkey PRIMARY KEY (instrument_token, valid_from, broker);

ALTER TABLE ONLY public.lost_rows
    ADD CONSTRAINT lost_rows_pkey PRIMARY KEY (projector, stream, n);

ALTER TABLE ONLY public.margins
    ADD CONSTRAINT margins_pkey PRIMARY KEY (account_id, segment);

ALTER TABLE ONLY public.missing_fills
    ADD CONSTRAINT missing_fills_pkey PRIMARY KEY (account_id, day, order_id);

ALTER TABLE ONLY public.multipliers
    ADD CONSTRAINT multipliers_pkey PRIMARY KEY (exchange, tradingsymbol);

ALTER TABLE ONLY public.opening_lots
    ADD CONSTRAINT opening_lots_pkey PRIMARY KEY (account_id, exchange, tradingsymbol, product);

ALTER TABLE ONLY public.order_history
    ADD CONSTRAINT order_history_pkey PRIMARY KEY (account_id, day, order_id, n);

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (account_id, day, order_id);

ALTER TABLE ONLY public.parked_decisions
    ADD CONSTRAINT parked_decisions_pkey PRIMARY KEY (requests_stream, requests_n);

ALTER TABLE ONLY public.parked_events
    ADD CONSTRAINT parked_events_pkey PRIMARY KEY (projector, stream, n, part);

ALTER TABLE ONLY public.parked_tries
    ADD CONSTRAINT parked_tries_pkey PRIMARY KEY (requests_stream, requests_n);

ALTER TABLE ONLY public.positions
    ADD CONSTRAINT positions_pkey PRIMARY KEY (account_id, exchange, tradingsymbol, product);

ALTER TABLE ONLY public.projection_checkpoints
    ADD CONSTRAINT projection_checkpoints_pkey PRIMARY KEY (projector, stream);

ALTER TABLE ONLY public.projections
    ADD CONSTRAINT projections_pkey PRIMARY KEY (projector);

ALTER TABLE ONLY public.round_trips
    ADD CONSTRAINT round_trips_pkey PRIMARY KEY (account_id, strategy_id, exchange, tradingsymbol, product, trip);

ALTER TABLE ONLY public.strategies
    ADD CONSTRAINT strategies_pkey PRIMARY KEY (strategy_id);

ALTER TABLE ONLY public.streams
    ADD CONSTRAINT streams_pkey PRIMARY KEY (stream_id);

ALTER TABLE ONLY public.streams
    ADD CONSTRAINT streams_stream_key UNIQUE (stream);

ALTER TABLE ONLY public.sync_runs
    ADD CONSTRAINT sync_runs_pkey PRIMARY KEY (n);

ALTER TABLE ONLY public.tariffs
    ADD CONSTRAINT tariffs_pkey PRIMARY KEY (broker, shipped);

ALTER TABLE ONLY public.trade_charges
    ADD CONSTRAINT trade_charges_pkey PRIMARY KEY (account_id, day, exchange, order_id, trade_id);

ALTER TABLE ONLY public.trades
    ADD CONSTRAINT trades_pkey PRIMARY KEY (account_id, day, exchange, order_id, trade_id);

ALTER TABLE ONLY public.trading_accounts
    ADD CONSTRAINT trading_accounts_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.uncharged
    ADD CONSTRAINT uncharged_pkey PRIMARY KEY (account_id, day, exchange);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (worker);

CREATE INDEX account_changes_account ON public.account_changes USING btree (account_id, cursor);

CREATE INDEX account_changes_kind ON public.account_changes USING btree (kind, cursor);

CREATE INDEX account_changes_line ON public.account_changes USING btree (account_id, key, observed_at) WHERE (kind = ANY (ARRAY['positions'::text, 'holdings'::text]));

CREATE UNIQUE INDEX attribution_rules_now ON public.attribution_rules USING btree (rule_id, draft) WHERE (ended_at IS NULL);

CREATE INDEX books_open ON public.books USING btree (account_id) WHERE ((quantity <> (0)::numeric) AND (NOT draft));

CREATE INDEX books_symbol ON public.books USING btree (exchange, tradingsymbol);

CREATE INDEX broker_charges_disputed ON public.broker_charges USING btree (account_id) WHERE (ours IS NOT NULL);

CREATE INDEX candles_1m_bucket ON public.candles_1m USING btree (bucket, stream_id);

CREATE INDEX closed_lots_closing ON public.closed_lots USING btree (account_id, day, closed_order_id, closed_trade_id) WHERE (NOT draft);

CREATE INDEX closed_lots_strategy ON public.closed_lots USING btree (strategy_id, day) WHERE (NOT draft);

CREATE INDEX closed_lots_trip ON public.closed_lots USING btree (account_id, strategy_id, exchange, tradingsymbol, product, trip) WHERE (NOT draft);

CREATE INDEX corrections_line ON public.corrections USING btree (account_id, exchange, tradingsymbol, product);

CREATE INDEX corrections_order ON public.corrections USING btree (account_id, order_id) WHERE (order_id <> ''::text);

CREATE INDEX instruments_now ON public.instruments USING btree (exchange, instrument_type, expiry) WHERE (valid_to IS NULL);

CREATE INDEX instruments_symbol ON public.instruments USING btree (tradingsymbol text_pattern_ops, exchange);

CREATE INDEX orders_open ON public.orders USING btree (account_id) WHERE (status <> ALL (ARRAY['COMPLETE'::text, 'CANCELLED'::text, 'REJECTED'::text]));

CREATE INDEX orders_order ON public.orders USING btree (order_id);

CREATE INDEX orders_strategy ON public.orders USING btree (account_id, strategy_id, day, order_id);

CREATE INDEX orders_symbol ON public.orders USING btree (account_id, tradingsymbol, day, order_id);

CREATE INDEX parked_decisions_event ON public.parked_decisions USING btree (projector, stream, n);

CREATE UNIQUE INDEX parked_decisions_key ON public.parked_decisions USING btree (requests_stream, key) WHERE (key <> ''::text);

CREATE INDEX parked_tries_event ON public.parked_tries USING btree (projector, stream, n);

CREATE INDEX round_trips_day ON public.round_trips USING btree (account_id, day);

CREATE INDEX sync_runs_account ON public.sync_runs USING btree (account_id, n DESC);

CREATE INDEX ticks_time ON ONLY public.ticks USING brin ("time") WITH (pages_per_range='32', autosummarize='on');

CREATE INDEX trades_of_strategy ON public.trades USING btree (strategy_id, "time");

CREATE INDEX trades_order ON public.trades USING btree (account_id, order_id);

CREATE INDEX trades_strategy ON public.trades USING btree (account_id, strategy_id, "time");

CREATE INDEX trades_symbol ON public.trades USING btree (account_id, exchange, tradingsymbol, product);

CREATE INDEX trades_time ON public.trades USING btree (account_id, "time");

CREATE INDEX trades_traded ON public.trades USING btree (account_id, tradingsymbol, "time");

CREATE INDEX trades_unfolded ON public.trades USING btree (account_id) WHERE (fold <> 1);
