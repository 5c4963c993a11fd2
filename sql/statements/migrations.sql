-- server_version: what server this is, and whether it has TimescaleDB
select current_setting('server_version_num') as number, version() as version, extversion as timescale,
       case when extversion is not null
            then coalesce(current_setting('timescaledb.license', true), 'apache') end as license
from (values (1)) always left join pg_extension on extname = 'timescaledb'

-- lock_migrations: one migration at a time
select pg_advisory_xact_lock(hashtext('bahi migrations'))

-- make_migrations: the list of files that ran
create table if not exists bahi_migrations (
    number     integer primary key,
    name       text        not null,
    flavour    text        not null,
    sha256     text        not null,
    applied_at timestamptz not null default now()
)

-- read_migrations: the files that ran
select number, name, flavour, sha256 from bahi_migrations order by number

-- keep_migration: a file ran
insert into bahi_migrations (number, name, flavour, sha256) values (%(number)s, %(name)s, %(flavour)s, %(sha256)s)

-- database_version: whether any file ever ran
select to_regclass('bahi_migrations')::text as known

-- last_migration: the last file that ran
select coalesce(max(number), 0) as number from bahi_migrations
