-- Positions, parked events and the numbers of streams: what all projectors share.
-- Needs: PostgreSQL 15 or later.

create table streams (
    stream_id smallint generated always as identity primary key,
    stream    text not null unique
);
comment on table streams is 'A short number for each stream, as rows of ticks and candles carry it. Never rebuilt.';

create table projection_checkpoints (
    projector   text        not null,
    stream      text        not null,
    n           bigint      not null default 0,
    epoch       bigint      not null default 0,
    owner       text,
    lease_until timestamptz not null default '-infinity',
    primary key (projector, stream),
    check (n >= 0 and epoch >= 0)
) with (fillfactor = 50);
comment on table projection_checkpoints is 'How far each projector has committed each stream. The one truth about it.';

create table parked_events (
    projector text    not null,
    stream    text    not null,
    n         bigint  not null,
    part      integer not null default 0,
    at        timestamptz not null,
    error     text    not null,
    packets   integer not null default 0,
    payload   bytea   not null,
    primary key (projector, stream, n, part)
);
comment on table parked_events is 'Events, or parts of them, that could not be read: whole, with the reason.';

create table feed_gaps (
    feed       text        not null,
    connection integer     not null,
    stream     text        not null,
    from_time  timestamptz not null,
    to_time    timestamptz,
    reason     text        not null,
    filled     boolean     not null default false,
    n          bigint      not null,
    primary key (stream, from_time)
);
comment on table feed_gaps is 'Losses of feed, in receive time; to_time is null while one lasts.';
