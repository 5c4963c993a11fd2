-- answer_call: say that a worker is alive, and which pairs it could run
insert into workers (worker, pairs, alive_until)
values (%(worker)s, %(pairs)s, clock_timestamp() + make_interval(secs => %(alive_seconds)s))
on conflict (worker) do update set pairs = excluded.pairs, alive_until = excluded.alive_until

-- read_workers: which workers are alive
select worker, pairs from workers where alive_until > clock_timestamp() order by worker

-- forget_worker: a worker ends
delete from workers where worker = %(worker)s

-- forget_workers: those that have not been heard of for long
delete from workers where alive_until < clock_timestamp() - make_interval(secs => %(kept_seconds)s)
