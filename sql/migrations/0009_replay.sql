-- Replays: tables of a projection that are filled from a span of the log, in a schema of their own, replay_<name>.
-- They are kept until somebody drops the schema. No rebuild knows them, and they never take a live table's place.

create function make_replay(place text, names text[], of_projector text, made_by integer) returns void
language plpgsql as $$
begin
    perform make_rebuild(place, names, made_by);
    execute format('alter table %I.rebuild rename to replay', place);
    execute format('alter table %I.replay add projector text not null default %L', place, of_projector);
end $$;
comment on function make_replay is 'Make the schema into which a replay projects, with empty tables and checkpoints of its own.';

create or replace function fence_stream(of_stream text) returns table (reader text, reached bigint) language plpgsql as $$
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
end $$;
