-- answer_call: say that a worker is alive, which pairs it could run, and which of its own have halted
insert into workers (worker, pairs, halted, alive_until)
values (%(worker)s, %(pairs)s, %(halted)s, clock_timestamp() + make_interval(secs => %(alive_seconds)s))
on conflict (worker) do update set pairs = excluded.pairs, halted = excluded.halted, alive_until = excluded.alive_until

-- read_halted: what has halted in workers that are alive
select each.* from workers, jsonb_to_recordset(halted) as each (
    projector text, stream text, n bigint, wanted text, found text, remedy text, at_ns bigint)
where alive_until > clock_timestamp() order by stream, projector

-- read_workers: which workers are alive
select worker, pairs from workers where alive_until > clock_timestamp() order by worker

-- forget_worker: a worker ends
delete from workers where worker = %(worker)s

-- forget_workers: those that have not been heard of for long
delete from workers where alive_until < clock_timestamp() - make_interval(secs => %(kept_seconds)s)
