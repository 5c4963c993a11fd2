-- Ticks, a range partition for each IST day.

create table ticks (
    time             timestamptz      not null,
    received_at      timestamptz      not null,
    instrument_token bigint           not null,
    last_price       double precision not null,
    last_quantity    bigint,
    average_price    double precision,
    volume           bigint,
    buy_quantity     bigint,
    sell_quantity    bigint,
    oi               bigint,
    bid_price        double precision,
    bid_quantity     bigint,
    ask_price        double precision,
    ask_quantity     bigint,
    n                bigint           not null,
    stream_id        smallint         not null,
    flags            smallint         not null
) partition by range (time);
create index ticks_time on ticks using brin (time) with (pages_per_range = 32, autosummarize = on);

create function make_tick_day(day date) returns void language plpgsql as $$
declare
    part text := 'ticks_' || to_char(day, 'YYYYMMDD');
    low  timestamptz := day::timestamp at time zone 'Asia/Kolkata';
    high timestamptz := (day + 1)::timestamp at time zone 'Asia/Kolkata';
begin
    perform pg_advisory_xact_lock(hashtext('ticks partitions'));
    if to_regclass(part) is not null then
        return;
    end if;
    execute format('create table %I (like ticks including defaults including constraints including storage)', part);
    execute format('alter table ticks attach partition %I for values from (%L) to (%L)', part, low, high);
end $$;

create function tick_days() returns table (part regclass, day date) language sql stable as $$
    select inhrelid::regclass, to_date(right(relname, 8), 'YYYYMMDD')
    from pg_inherits join pg_class on pg_class.oid = inhrelid
    where inhparent = 'ticks'::regclass
$$;

create function drop_tick_days(days integer) returns setof text language plpgsql as $$
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
