-- Workers: which processes of `bahi project` are at work, so that they share out the pairs among themselves.

create table workers (
    worker      text        primary key,
    pairs       jsonb       not null,
    alive_until timestamptz not null
);
comment on table workers is 'The processes that run projectors, what each of them could run, and until when it counts as alive.';
comment on column workers.pairs is 'Arrays of projector, stream and weight: what this process knows and sees.';
