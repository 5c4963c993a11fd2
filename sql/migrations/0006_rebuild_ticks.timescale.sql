-- Ticks in a schema of their own: what a rebuild fills beside the live hypertable.

create function clone_ticks(place text) returns void language plpgsql as $$
declare
    target regclass;
begin
    execute format('create table %I.ticks (like public.ticks including all excluding indexes)', place);
    target := format('%I.ticks', place);
    perform create_hypertable(target, by_range('time', interval '1 day'), create_default_indexes => false);
    perform clone_indexes(place, 'ticks');
    if current_setting('timescaledb.license') = 'timescale' then
        execute format('alter table %s set (timescaledb.enable_columnstore, timescaledb.segmentby = ''instrument_token'', '
                       'timescaledb.orderby = ''time, n'')', target);
        call add_columnstore_policy(target, after => interval '1 day', schedule_interval => interval '1 hour');
    end if;
end $$;
comment on function clone_ticks is 'Make an empty hypertable of ticks in another schema, without a day yet.';

create or replace function make_tick_day(day date) returns void language plpgsql as $$
declare
    name text := 'ticks_' || to_char(day, 'YYYYMMDD');
    part text := (select format('%I.%I', nspname, name) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
                  where pg_class.oid = 'ticks'::regclass);
    from_time timestamptz := day::timestamp at time zone 'Asia/Kolkata';
    to_time   timestamptz := (day + 1)::timestamp at time zone 'Asia/Kolkata';
begin
    perform pg_advisory_xact_lock(hashtext('ticks partitions'));
    if current_setting('timescaledb.license') <> 'timescale'
       or exists (select from tick_chunks() where low < to_time and high > from_time) then
        return; -- what is missing TimescaleDB makes itself, cut to fit its neighbours
    end if;
    execute format('create table %s (like ticks including defaults including constraints including storage)', part);
    call attach_chunk('ticks', part::regclass, jsonb_build_object('time', jsonb_build_array(
        extract(epoch from from_time)::bigint * 1000000, extract(epoch from to_time)::bigint * 1000000)));
end $$;
comment on function make_tick_day is 'Make a place for one IST day, in the schema of the ticks that the caller sees.';
