-- What has halted: a worker says before which event each of its pairs stands, and why, so that others can tell a user.

alter table workers add column halted jsonb not null default '[]';
comment on column workers.halted is 'Objects of projector, stream, n, wanted, found, remedy and at_ns: its pairs that do not go on, each before event n.';
