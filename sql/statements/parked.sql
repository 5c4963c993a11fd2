-- add_decision: a request about a parked event; one with a key that was there before is the one that was
insert into parked_decisions (requests_stream, requests_n, at, decision, projector, stream, n, reason, asked_by, key)
values (%(requests_stream)s, %(requests_n)s, %(at)s, %(decision)s, %(projector)s, %(stream)s, %(n)s, %(reason)s,
        %(asked_by)s, %(key)s)
on conflict do nothing

-- open_retries: requests to retry events of one pair, neither tried nor replaced by a newer decision; last what can wait
select requests_stream, requests_n, n from parked_decisions said
where projector = %(projector)s and stream = %(stream)s and decision = 'retry'
  and not exists (select from parked_tries tried
                  where tried.requests_stream = said.requests_stream and tried.requests_n = said.requests_n)
  and not exists (select from parked_decisions newer
                  where newer.projector = said.projector and newer.stream = said.stream and newer.n = said.n
                    and (newer.at, newer.requests_stream, newer.requests_n)
                        > (said.at, said.requests_stream, said.requests_n))
order by n > %(committed)s, requests_stream || ' ' || requests_n = any (%(put_off)s::text[]), at, requests_stream,
         requests_n
limit %(limit)s

-- hurry: a try holds up live events; it gives up where a statement or a lock takes longer, until its transaction ends
select set_config('statement_timeout', %(statement_ms)s::text, true), set_config('lock_timeout', %(lock_ms)s::text, true)

-- keep_try: what came of a retry
insert into parked_tries (requests_stream, requests_n, projector, stream, n, gained, packets_left, unread, refused)
values (%(requests_stream)s, %(requests_n)s, %(projector)s, %(stream)s, %(n)s, %(gained)s, %(packets_left)s,
        %(unread)s, %(refused)s)
on conflict do nothing

-- parked_parts: what of one event could not be read
select part, at, error, packets, payload from parked_events
where projector = %(projector)s and stream = %(stream)s and n = %(n)s order by part

-- forget_parked: an event is tried again; what cannot be read of it is parked again
delete from parked_events where projector = %(projector)s and stream = %(stream)s and n = %(n)s

-- refuse_parked: an event was refused again, and stays parked with the newest reason
update parked_events set error = %(error)s where projector = %(projector)s and stream = %(stream)s and n = %(n)s

-- parked_page: parked events with their state, behind a place in the order of projector, stream and n
select projector, stream, n, at, parts, packets, bytes, error, state, reason, asked_by, decided_at, requests_stream,
       requests_n
from parked
where (%(projector)s::text is null or projector = %(projector)s)
  and (%(stream)s::text is null or stream = %(stream)s)
  and (%(state)s::text is null or state = %(state)s)
  and (%(after_projector)s::text is null
       or (projector, stream, n) > (%(after_projector)s::text, %(after_stream)s::text, %(after_n)s::bigint))
order by projector, stream, n
limit %(limit)s

-- parked_event: one parked event with its state
select projector, stream, n, at, parts, packets, bytes, error, state, reason, asked_by, decided_at, requests_stream,
       requests_n
from parked where projector = %(projector)s and stream = %(stream)s and n = %(n)s

-- parked_decided: what users decided about one event, the oldest first
select requests_stream, requests_n, at, decision, reason, asked_by from parked_decisions
where projector = %(projector)s and stream = %(stream)s and n = %(n)s order by at, requests_stream, requests_n

-- parked_tried: what came of the retries of one event, the oldest first
select requests_stream, requests_n, at, gained, packets_left, unread, refused from parked_tries
where projector = %(projector)s and stream = %(stream)s and n = %(n)s order by at, requests_stream, requests_n

-- decision_taken: whether a request about a parked event is in the tables, and what came of it where it is a retry
select gained, packets_left, unread, refused, tried.requests_n is not null as tried
from parked_decisions said left join parked_tries tried using (requests_stream, requests_n)
where requests_stream = %(requests_stream)s and requests_n = %(requests_n)s
