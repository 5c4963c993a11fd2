-- Ticks, a hypertable with a chunk for each IST day, compressed a day after its end.
-- Needs: TimescaleDB 2.21 or later. The Apache edition can neither attach a chunk nor compress one: there TimescaleDB
-- cuts its own chunks at 05:30 IST (00:00 UTC), when no exchange is open, and a day is dropped up to a day later.

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
);
select create_hypertable('ticks', by_range('time', interval '1 day'), create_default_indexes => false);
create index ticks_time on ticks using brin (time) with (pages_per_range = 32, autosummarize = on);

create function tick_chunks() returns table (part regclass, low timestamptz, high timestamptz) language sql stable as $$
    select format('%I.%I', chunk_schema, chunk_name)::regclass, range_start, range_end
    from timescaledb_information.chunks
    where format('%I.%I', hypertable_schema, hypertable_name)::regclass = 'ticks'::regclass
$$;

create function make_tick_day(day date) returns void language plpgsql as $$
declare
    part text := 'ticks_' || to_char(day, 'YYYYMMDD');
    from_time timestamptz := day::timestamp at time zone 'Asia/Kolkata';
    to_time   timestamptz := (day + 1)::timestamp at time zone 'Asia/Kolkata';
begin
    perform pg_advisory_xact_lock(hashtext('ticks partitions'));
    if current_setting('timescaledb.license') <> 'timescale'
       or exists (select from tick_chunks() where low < to_time and high > from_time) then
        return; -- what is missing TimescaleDB makes itself, cut to fit its neighbours
    end if;
    execute format('create table %I (like ticks including defaults including constraints including storage)', part);
    call attach_chunk('ticks', part::regclass, jsonb_build_object('time', jsonb_build_array(
        extract(epoch from from_time)::bigint * 1000000, extract(epoch from to_time)::bigint * 1000000)));
end $$;

create function tick_days() returns table (part regclass, day date) language sql stable as $$
    select part, generate_series((low at time zone 'Asia/Kolkata')::date,
                                 ((high - interval '1 second') at time zone 'Asia/Kolkata')::date, interval '1 day')::date
    from tick_chunks()
$$;

create function drop_tick_days(days integer) returns setof text language plpgsql as $$
declare
    held   date;
    oldest timestamptz;
begin
    perform pg_advisory_xact_lock(hashtext('ticks partitions'));
    for held in select distinct day from tick_days() order by day desc loop
        if exists (select from ticks where time >= held::timestamp at time zone 'Asia/Kolkata'
                                       and time < (held + 1)::timestamp at time zone 'Asia/Kolkata') then
            oldest := (held - days + 1)::timestamp at time zone 'Asia/Kolkata';
            exit;
        end if;
    end loop;
    if oldest is not null then
        return query select part::text from tick_chunks() where high <= oldest order by high desc;
        perform drop_chunks('ticks', older_than => oldest);
    end if;
end $$;

do $$
begin
    if current_setting('timescaledb.license') = 'timescale' then
        alter table ticks set (timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument_token',
                               timescaledb.orderby = 'time, n');
        call add_columnstore_policy('ticks', after => interval '1 day', schedule_interval => interval '1 hour');
    end if;
end $$;
