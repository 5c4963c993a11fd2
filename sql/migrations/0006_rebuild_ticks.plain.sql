-- Ticks in a schema of their own: what a rebuild fills beside the live table.

create function clone_ticks(place text) returns void language plpgsql as $$
begin
    execute format('create table %I.ticks (like public.ticks including all excluding indexes) partition by range (time)', place);
    perform clone_indexes(place, 'ticks');
end $$;
comment on function clone_ticks is 'Make an empty table of ticks in another schema, without a day yet.';

create or replace function make_tick_day(day date) returns void language plpgsql as $$
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
comment on function make_tick_day is 'Make a place for one IST day, in the schema of the ticks that the caller sees.';
