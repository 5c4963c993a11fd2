-- answer_call: say that a worker is alive, and which projectors it runs
insert into workers (worker, projectors, alive_until)
values (%(worker)s, %(projectors)s, clock_timestamp() + make_interval(secs => %(alive_seconds)s))
on conflict (worker) do update set projectors = excluded.projectors, alive_until = excluded.alive_until

-- read_workers: which workers are alive
select worker, projectors from workers where alive_until > clock_timestamp() order by worker

-- forget_worker: a worker ends
delete from workers where worker = %(worker)s

-- forget_workers: those that have not been heard of for long
delete from workers where alive_until < clock_timestamp() - make_interval(secs => %(kept_seconds)s)
