-- Takeovers: what a writer asks of the positions when it makes a stream whole, and which tables it makes wrong.

create function fence_stream(of_stream text) returns table (reader text, reached bigint) language plpgsql as $$
declare
    place text;
begin
    -- Rebuilds first: what they have read may not be in the log any more, and they begin again.
    for place in select nspname from pg_namespace where nspname ~ '^rebuild_[a-z]+_[0-9]+$' order by nspname loop
        return query execute format(
            'update %1$I.projection_checkpoints set epoch = epoch + 1 where stream = $1 returning %1$L::text, n', place)
            using of_stream;
    end loop;
    return query
        update public.projection_checkpoints set epoch = epoch + 1, lease_until = '-infinity', owner = null
        where stream = of_stream returning projector, n;
end $$;
comment on function fence_stream is 'Raise the epochs of all who read a stream, so that what they hold in memory is never committed.';

create table lost_rows (
    projector text        not null,
    stream    text        not null,
    n         bigint      not null,
    lost      bigint      not null,
    noted_at  timestamptz not null default clock_timestamp(),
    primary key (projector, stream, n)
);
comment on table lost_rows is 'Rows of events that a log.takeover (n) gave up as lost: nobody else gets them, and the projection is to be rebuilt.';
