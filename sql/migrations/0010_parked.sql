-- What users decided about parked events, and what came of each retry.

create table parked_decisions (
    requests_stream text        not null,
    requests_n      bigint      not null,
    at              timestamptz not null,
    decision        text        not null check (decision in ('retry', 'set_aside')),
    projector       text        not null,
    stream          text        not null,
    n               bigint      not null,
    reason          text        not null,
    asked_by        text        not null,
    key             text        not null,
    primary key (requests_stream, requests_n)
);
create unique index parked_decisions_key on parked_decisions (requests_stream, key) where key <> '';
create index parked_decisions_event on parked_decisions (projector, stream, n);
comment on table parked_decisions is 'Requests to retry parked events or to set them aside, from the log: the newest one counts.';

create table parked_tries (
    requests_stream text        not null,
    requests_n      bigint      not null,
    at              timestamptz not null default clock_timestamp(),
    projector       text        not null,
    stream          text        not null,
    n               bigint      not null,
    gained          bigint      not null,
    packets_left    bigint      not null,
    unread          boolean     not null,
    refused         text,
    primary key (requests_stream, requests_n)
);
create index parked_tries_event on parked_tries (projector, stream, n);
comment on table parked_tries is 'What came of each retry: one request is one try, also over rebuilds, so this is never rebuilt.';
comment on column parked_tries.gained is 'Packets that could not be stored before, and are rows now.';
comment on column parked_tries.unread is 'Whether it had been the decoder that refused, and not the database: then candles lack it as well.';

create view parked as
select held.projector, held.stream, held.n, held.at, held.parts, held.packets, held.bytes, held.error,
       case when told.decision = 'set_aside' then 'set_aside'
            when told.decision = 'retry' and not told.tried then 'retry_wanted'
            else 'waiting' end as state,
       told.decision, told.at as decided_at, told.reason, told.asked_by, told.requests_stream, told.requests_n
from (select projector, stream, n, min(at) as at, count(*) as parts, sum(packets)::bigint as packets,
             sum(octet_length(payload))::bigint as bytes, (array_agg(error order by part))[1] as error
      from parked_events group by projector, stream, n) held
left join lateral (
    select said.*, exists (select from parked_tries tried where tried.requests_stream = said.requests_stream
                                                            and tried.requests_n = said.requests_n) as tried
    from parked_decisions said
    where said.projector = held.projector and said.stream = held.stream and said.n = held.n
    order by said.at desc, said.requests_stream desc, said.requests_n desc limit 1) told on true;
comment on view parked is 'Each parked event with its state: waiting for a decision, retry_wanted, set_aside.';
