-- Workers: which processes of `bahi project` are at work, so that they share out the pairs among themselves.

create table workers (
    worker      text        primary key,
    projectors  text[]      not null,
    alive_until timestamptz not null
);
comment on table workers is 'The processes that run projectors, which ones, and until when each counts as alive.';
