-- use_schema: find tables in this schema first
select set_config('search_path', %(schema)s || ', public', false)

-- commit_lightly: what a crash takes back it takes back whole, rows and checkpoint: it is read from the log again
select set_config('synchronous_commit', 'off', false)

-- claim_rebuild: be the only one who rebuilds this projection, as long as the session lasts
select pg_try_advisory_lock(hashtext('bahi rebuild'), hashtext(%(projector)s)) as claimed

-- rebuild_claimant: who rebuilds this projection
select application_name as owner from pg_locks join pg_stat_activity using (pid)
where locktype = 'advisory' and granted and objsubid = 2 and classid = (hashtext('bahi rebuild')::bigint & 4294967295)::oid
  and objid = (hashtext(%(projector)s)::bigint & 4294967295)::oid

-- know_projection: the tables of a projector that never ran are of its present version
insert into projections (projector, version) values (%(projector)s, %(version)s) on conflict (projector) do nothing

-- projection_version: by which version of a projector its tables were made
select version from projections where projector = %(projector)s

-- read_projections: by which version of each projector its tables were made
select projector, version, generation from projections order by projector

-- rebuild_schemas: what rebuilds have left, or are at work on
select nspname as name from pg_namespace where nspname ~ '^(rebuild|replaced)_[a-z]+_[0-9]+$' order by nspname

-- make_rebuild: a schema with empty tables like the live ones, and checkpoints of its own
select make_rebuild(%(schema)s, %(tables)s::text[], %(version)s::integer)

-- rebuild_facts: by which version of its projector a rebuild's tables are made
select version, began from rebuild

-- rebuild_is_whole: whether nobody but the rebuild itself has raised its epochs
select not exists (select from projection_checkpoints where epoch <> own_epoch) as whole

-- take_rebuild_lease: go on with a stream where a rebuild left it; no row where somebody else raised the epoch
insert into projection_checkpoints as held (projector, stream, n, first, epoch, own_epoch)
values (%(projector)s, %(stream)s, %(first)s - 1, %(first)s, 1, 1)
on conflict (projector, stream) do update set epoch = held.epoch + 1, own_epoch = held.epoch + 1
where held.epoch = held.own_epoch
returning epoch, n, first

-- seize_lease: take a pair over from whoever holds it, raising its epoch
update projection_checkpoints
set epoch = epoch + 1, owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
where projector = %(projector)s and stream = %(stream)s
returning epoch, n

-- projected_streams: what a projector has read so far
select stream, n from projection_checkpoints where projector = %(projector)s

-- lock_projection: keep everybody out of a projection's tables until the transaction ends
select lock_projection(%(tables)s::text[])

-- place_checkpoint: the rebuild's position becomes the live one
update projection_checkpoints set n = %(n)s
where projector = %(projector)s and stream = %(stream)s and epoch = %(epoch)s and n <= %(n)s

-- strangers: streams that were projected into the live tables while nobody saw it
select stream from projection_checkpoints
where projector = %(projector)s and n > 0 and stream <> all (%(streams)s::text[])

-- raise_generation: the tables of a projector are replaced
update projections set version = %(version)s, generation = generation + 1, since = clock_timestamp()
where projector = %(projector)s and generation = %(generation)s

-- swap_rebuild: put the tables of a rebuild in the place of the live ones
select swap_rebuild(%(projector)s, %(schema)s, %(replaced)s, %(tables)s::text[])

-- drop_rebuild: drop one table of a schema that is no longer used, or the schema when it is empty
select drop_rebuild(%(schema)s) as gone

-- count_table: how many rows a table has
select count_table(%(name)s) as rows
