-- schema_is_there: whether a schema of this name exists
select exists (select from pg_namespace where nspname = %(schema)s) as there

-- make_replay: a schema with empty tables like the live ones, and checkpoints of its own, that is no rebuild's
select make_replay(%(schema)s, %(tables)s::text[], %(projector)s, %(version)s::integer)
