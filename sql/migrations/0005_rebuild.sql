-- Rebuilds: which version of a projector made its tables, and how new ones are built beside them and take their place.
-- A rebuild works in a schema of its own, rebuild_<projector>_<generation>; replaced tables wait in
-- replaced_<projector>_<generation> until they are dropped.

create table projections (
    projector  text        primary key,
    version    integer     not null,
    generation bigint      not null default 1,
    since      timestamptz not null default clock_timestamp()
);
comment on table projections is 'The tables of each projector: by which version they were made, how often they were replaced.';
insert into projections (projector, version) select distinct projector, 1 from projection_checkpoints;

create function clone_indexes(place text, name text) returns void language plpgsql as $$
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
comment on function clone_indexes is 'Make the keys and indexes of a table on its namesake in another schema, under the same names.';

create function clone_table(place text, name text) returns void language plpgsql as $$
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
comment on function clone_table is 'Make an empty table in another schema that is like the live one of this name.';

create function make_rebuild(place text, names text[], made_by integer) returns void language plpgsql as $$
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
comment on function make_rebuild is 'Make the schema in which a rebuild works, with empty tables and checkpoints of its own.';

create function fence_rebuilds(of_stream text) returns void language plpgsql as $$
declare
    place text;
begin
    for place in select nspname from pg_namespace where nspname ~ '^rebuild_[a-z]+_[0-9]+$' loop
        execute format('update %I.projection_checkpoints set epoch = epoch + 1 where stream = %L', place, of_stream);
    end loop;
end $$;
comment on function fence_rebuilds is 'Let running rebuilds begin again: the log may not hold what they have read.';

create function views_over(tables regclass[]) returns setof regclass language sql stable as $$
    select distinct ev_class::regclass
    from pg_depend
    join pg_rewrite on classid = 'pg_rewrite'::regclass and objid = pg_rewrite.oid
    join pg_class on pg_class.oid = ev_class
    where refclassid = 'pg_class'::regclass and refobjid = any (tables::oid[]) and relkind = 'v'
      and relnamespace::regnamespace::text not like '\_timescaledb%'
$$;
comment on function views_over is 'The views that read these tables; those of TimescaleDB''s own apart, which cannot be replaced.';

create function lock_projection(names text[]) returns void language plpgsql as $$
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
comment on function lock_projection is 'Keep everybody out of these tables until the transaction ends.';

create function move_table(name text, source text, target text) returns void language plpgsql as $$
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
comment on function move_table is 'Move a table with its partitions into another schema.';

create function copy_rights(source regclass, target regclass) returns void language plpgsql as $$
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
comment on function copy_rights is 'Let those read a table who may read another.';

create function swap_rebuild(of_projector text, place text, replaced text, names text[]) returns void
language plpgsql as $$
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
comment on function swap_rebuild is 'Put the tables of a rebuild in the place of the live ones; both are locked by now.';

create function drop_rebuild(place text) returns text language plpgsql as $$
declare
    gone text;
begin
    if place !~ '^(rebuild|replaced)_[a-z]+_[0-9]+$' then
        raise exception 'wanted a schema of a rebuild, found %', place;
    end if;
    select pg_class.oid::regclass::text into gone
    from pg_class left join pg_inherits on inhrelid = pg_class.oid
    where relnamespace = to_regnamespace(place) and relkind in ('r', 'p')
    order by inhrelid is null, relname limit 1;
    if gone is not null then
        execute format('drop table %s', gone);
    else
        execute format('drop schema if exists %I', place);
    end if;
    return gone;
end $$;
comment on function drop_rebuild is 'Drop one table of a rebuild, partitions first, or the empty schema: then it gives null.';

create function count_table(name text) returns bigint language plpgsql as $$
declare
    found bigint;
begin
    execute format('select count(*) from %I', name) into found;
    return found;
end $$;
comment on function count_table is 'How many rows there are in the table of this name that the caller sees.';
