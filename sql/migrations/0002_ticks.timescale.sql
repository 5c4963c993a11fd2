-- Ticks, a hypertable of one-day chunks. Compression after one day where the edition has it.

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
select create_hypertable('ticks', 'time', chunk_time_interval => interval '1 day', create_default_indexes => false);
create index ticks_time on ticks using brin (time) with (pages_per_range = 32, autosummarize = on);

create function tick_days() returns table (part regclass, day date) language sql stable as $$
    select format('%I.%I', chunk_schema, chunk_name)::regclass, (range_start at time zone 'Asia/Kolkata')::date
    from timescaledb_information.chunks where hypertable_name = 'ticks'
$$;

create function drop_tick_days(days integer) returns setof text language sql as $$
    select drop_chunks('ticks', older_than => (
        select (((time at time zone 'Asia/Kolkata')::date - (days - 1))::timestamp at time zone 'Asia/Kolkata')
        from ticks order by time desc limit 1))::text
$$;

do $$
begin
    if current_setting('timescaledb.license', true) = 'timescale' then
        alter table ticks set (timescaledb.compress, timescaledb.compress_segmentby = 'instrument_token',
                               timescaledb.compress_orderby = 'time, n');
        perform add_compression_policy('ticks', interval '1 day');
    end if;
end $$;
