-- add_checkpoint: make a pair known, at n = 0
insert into projection_checkpoints (projector, stream) values (%(projector)s, %(stream)s)
on conflict (projector, stream) do nothing

-- acquire_lease: take over a pair that is free, our own, or held by an owner known to be dead, raising its epoch
update projection_checkpoints
set epoch = epoch + 1, owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
where projector = %(projector)s and stream = %(stream)s
  and (lease_until < clock_timestamp() or owner is null or owner = any (%(gone)s))
returning epoch, n

-- end_owner: end the session of an owner whose lease ran out, with the transaction that it may be frozen in
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = %(owner)s and pid <> pg_backend_pid()

-- read_checkpoint: how a pair stands
select n, epoch, owner, lease_until > clock_timestamp() as held
from projection_checkpoints where projector = %(projector)s and stream = %(stream)s

-- read_checkpoints: how all pairs stand
select projector, stream, n, epoch, owner, lease_until > clock_timestamp() as held
from projection_checkpoints order by stream, projector

-- move_checkpoint: the first statement of each batch; 0 rows mean that someone took over, or that it was committed
update projection_checkpoints
set n = %(target)s, lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
where projector = %(projector)s and stream = %(stream)s and epoch = %(epoch)s and n = %(n)s and n <= %(target)s

-- renew_lease: hold a pair that has nothing to do
update projection_checkpoints set lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
where projector = %(projector)s and stream = %(stream)s and epoch = %(epoch)s

-- release_lease: let another owner have the pair at once
update projection_checkpoints set lease_until = '-infinity', owner = null
where projector = %(projector)s and stream = %(stream)s and epoch = %(epoch)s

-- fence_checkpoints: raise the epochs of all who read a stream, so that what they hold in memory is never committed
select reader, reached from fence_stream(%(stream)s)

-- raise_far: a database went back: put an owner's epoch past any that was handed out before (projectors/setback.py)
update projection_checkpoints
set epoch = greatest(epoch + 1, %(now_us)s, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
where projector = %(projector)s and stream = %(stream)s and epoch = %(epoch)s
returning epoch

-- projected_or_numbered: all streams of which there may be rows
select stream from projection_checkpoints union select stream from streams order by stream

-- end_owners: end the sessions of all owners in this database, with the transactions that they may be frozen in
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name ~ ':[0-9]+:[0-9]+:[0-9]+$'

-- raise_all_far: put the epochs of all pairs past any that was handed out before, and free them for whoever comes first
update projection_checkpoints
set epoch = greatest(epoch + 1, %(now_us)s, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
    owner = null, lease_until = '-infinity'
returning projector, stream, n, epoch

-- note_lost_rows: a projector met a takeover that gave up events of which it had made rows
insert into lost_rows (projector, stream, n, lost) values (%(projector)s, %(stream)s, %(n)s, %(lost)s)
on conflict (projector, stream, n) do nothing

-- forget_lost_rows: the tables of a projector are made anew
delete from lost_rows where projector = %(projector)s

-- read_lost_rows: which projections hold rows that nobody else gets
select projector, stream, n, lost from lost_rows order by projector, stream, n

-- add_stream: give a stream its short number; each call draws one of 32,767, also where the stream has one already
insert into streams (stream) values (%(stream)s) on conflict (stream) do nothing

-- stream_number: the short number of a stream
select stream_id from streams where stream = %(stream)s

-- park_event: keep what could not be read, whole, with the reason
insert into parked_events (projector, stream, n, part, at, error, packets, payload)
values (%(projector)s, %(stream)s, %(n)s, %(part)s, %(at)s, %(error)s, %(packets)s, %(payload)s)
