-- What a rebuild leaves is dropped table by table, and whoever drops it may be killed in between. Its positions stay to
-- the last, because a takeover fences them off as long as the schema is there; and nobody goes on with what lacks tables.

create or replace function drop_rebuild(place text) returns text language plpgsql as $$
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
end $$;
comment on function drop_rebuild is 'Drop one table of a rebuild, partitions first, or what is left, with the schema: then it gives null.';
