"""The catalogue: every metric of Bahi, with its kind, its labels and what it tells the operator.

Code sets these objects and no others; dashboards use only these names. A new metric is declared here, in the
section of the part that sets it, with a sentence that says what to conclude from it. The label `process` is
added when the processes' metrics are merged. Those of the trading accounts stand in `runtime/account_metrics.py`.
"""

from prometheus_client import ProcessCollector

from runtime import account_metrics
from runtime.registry import CATALOGUE, REGISTRY, collect, counter, gauge, histogram, publish

__all__ = ["CATALOGUE", "REGISTRY", "account_metrics", "collect", "publish"]

# The targets are a p99 of 10 ms and a p99.9 of 25 ms from append to commit, so the buckets are narrow around both.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)

# --- Feed: what a ticker received, counted before any queue
FEED_CONNECTED = gauge(
    "bahi_feed_connected",
    "1 while this connection's socket is open and logged in; 0 for long in market hours means no prices",
    "stream",
)
FEED_TOKEN_WANTED = gauge(
    "bahi_feed_token_wanted",
    "1 while this connection has no access token, or a refused one: run `bahi login`",
    "stream",
)
FEED_FRAMES = counter(
    "bahi_feed_frames_total",
    "Binary messages received, heartbeats apart; stands still while the market is closed or the feed is lost",
    "stream",
)
FEED_PACKETS = counter(
    "bahi_feed_packets_total",
    "Ticks received inside the frames; with stored and parked rows it makes the account that `bahi verify` checks",
    "stream",
)
FEED_BYTES = counter(
    "bahi_feed_bytes_total",
    "Bytes received in frames",
    "stream",
)
FEED_LAST_MESSAGE = gauge(
    "bahi_feed_last_message_timestamp_seconds",
    "When anything was last heard, heartbeats included; older than a few seconds means a frozen socket",
    "stream",
)
FEED_INSTRUMENTS = gauge(
    "bahi_feed_instruments",
    "Instruments subscribed on this connection",
    "stream",
)
FEED_LOSSES = counter(
    "bahi_feed_losses_total",
    "Times that the feed was lost, by reason; each left a declared gap in the log",
    "stream",
    "reason",
)
FEED_HELD = counter(
    "bahi_feed_held_total",
    "Times that the socket was read no further because the hand-over was full: the disk is too slow",
    "stream",
)

# --- Log: spool and Redis, by writer
LOG_EVENTS = counter(
    "bahi_log_events_total",
    "Events written to the spool and on disk",
    "stream",
)
LOG_LAST_N = gauge(
    "bahi_log_last_n",
    "The number of the last event on disk",
    "stream",
)
LOG_SENT_N = gauge(
    "bahi_log_sent_n",
    "The number of the last event that Redis has; the distance to bahi_log_last_n grows while Redis is down",
    "stream",
)
LOG_SPOOL_BYTES = gauge(
    "bahi_log_spool_bytes",
    "Bytes in the spool folder; grows while Redis or the archiver is down",
    "stream",
)
LOG_SYNC_SECONDS = histogram(
    "bahi_log_sync_seconds",
    "Time for one group commit to the spool (write and fdatasync): the speed of the disk",
    "stream",
    buckets=SECONDS,
)
LOG_APPEND_SECONDS = histogram(
    "bahi_log_append_seconds",
    "Time for one append of a batch to Redis: the speed of Redis and of the way there",
    "stream",
    buckets=SECONDS,
)
LOG_FAILURES = counter(
    "bahi_log_failures_total",
    "Appends to Redis that failed and are tried again; growing means that Redis is down or full",
    "stream",
)

# --- Projectors: from the log into the tables
PROJECTOR_N = gauge(
    "bahi_projector_n",
    "The number of the last event whose rows are committed",
    "projector",
    "stream",
)
PROJECTOR_LAG = gauge(
    "bahi_projector_lag_events",
    "Events in the log that are not committed yet; growing means that the database is slower than the feed",
    "projector",
    "stream",
)
PROJECTOR_COMMIT_SECONDS = histogram(
    "bahi_projector_commit_seconds",
    "Time for one transaction, checkpoint and rows: the speed of PostgreSQL",
    "projector",
    buckets=SECONDS,
)
PROJECTOR_LATENCY_SECONDS = histogram(
    "bahi_projector_latency_seconds",
    "Time from receiving the oldest event of a batch to its commit: how old a fresh row is",
    "projector",
    buckets=SECONDS,
)
PROJECTOR_PARKED = counter(
    "bahi_projector_parked_total",
    "Events or packets that could not be read, kept in parked_events; above zero wants a look",
    "projector",
)
PROJECTOR_TRIED = counter(
    "bahi_projector_parked_tried_total",
    "Parked events that were tried again on request, by outcome (read, refused)",
    "projector",
    "outcome",
)
PROJECTOR_RETRIES = counter(
    "bahi_projector_retries_total",
    "Times that a batch was tried again because a server did not answer",
    "projector",
)
PROJECTOR_SETBACKS = counter(
    "bahi_projector_setbacks_total",
    "Times that a checkpoint was found below where it had stood: the database went back; "
    "if a person restored a backup, `bahi restored` has to follow",
    "projector",
)

# --- Archive
ARCHIVE_N = gauge(
    "bahi_archive_n",
    "The number of the last event in the archive; Redis is trimmed up to it at most",
    "stream",
)
ARCHIVE_SEGMENTS = counter(
    "bahi_archive_segments_total",
    "Segments copied to the archive",
    "stream",
)
ARCHIVE_BYTES = counter(
    "bahi_archive_bytes_total",
    "Bytes of segments as stored, compressed",
    "stream",
)
ARCHIVE_TRIMMED_N = gauge(
    "bahi_archive_trimmed_n",
    "Events below this number are in the archive only",
    "stream",
)

# --- REST worker
SYNC_INSTRUMENTS = gauge(
    "bahi_sync_instruments",
    "Instruments in the last dump; a day with far fewer than the day before is suspicious",
    "broker",
)
SYNC_RUNS = counter(
    "bahi_sync_runs_total",
    "Runs of the REST worker by kind and outcome (ok, refused, unreachable)",
    "kind",
    "outcome",
)

# --- Seen from outside: by the API, of everybody else, so that no alarm dies with what it watches
SERVER_UP = gauge(
    "bahi_server_up",
    "1 while the server (postgresql, redis, archive) answers the API; what is seen of it is not shown meanwhile",
    "server",
)
OBSERVER_LOOKED = gauge(
    "bahi_observer_looked_timestamp_seconds",
    "When the API last came to the end of a look (positions, stores, disks); older than a minute, what it shows is old",
    "look",
)
MARKET_OPEN = gauge(
    "bahi_market_open",
    "1 while the exchange trades by the calendar, 0 also while its hours are not known; absent in a year that the "
    "calendar does not cover",
    "exchange",
)
STREAM_LAST_N = gauge(
    "bahi_stream_last_n",
    "The number of the last event that Redis or the archive has",
    "stream",
)
STREAM_UNARCHIVED_SECONDS = gauge(
    "bahi_stream_unarchived_seconds",
    "Age of the oldest event that is not in the archive; beyond SPOOL_FILE_SECONDS the archiver is behind",
    "stream",
)
WRITER_STANDING = gauge(
    "bahi_writer_standing",
    "1 while the stream's writer was refused (its next start takes over), is stopped, or has taken over",
    "stream",
    "state",
)
CHECKPOINT_N = gauge(
    "bahi_checkpoint_n",
    "The number of the last event whose rows are committed, as the database says it",
    "projector",
    "stream",
)
CHECKPOINT_LAG_EVENTS = gauge(
    "bahi_checkpoint_lag_events",
    "Events in the log that are not committed; seen also where nobody runs the projector",
    "projector",
    "stream",
)
CHECKPOINT_LAG_SECONDS = gauge(
    "bahi_checkpoint_lag_seconds",
    "Age of the oldest event that is not committed; how old the tables are",
    "projector",
    "stream",
)
CHECKPOINT_STILL_SECONDS = gauge(
    "bahi_checkpoint_still_seconds",
    "How long the checkpoint has not moved though there are events before it; beyond 5 nobody works on it",
    "projector",
    "stream",
)
CHECKPOINT_AHEAD_EVENTS = gauge(
    "bahi_checkpoint_ahead_events",
    "How far the checkpoint is beyond the log's end; above zero the log forgot, or the tables are of another one",
    "projector",
    "stream",
)
PARKED_EVENTS = gauge(
    "bahi_parked_events",
    "Events that could not be read and that nobody has set aside",
    "projector",
    "stream",
)
LOST_EVENTS = gauge(
    "bahi_lost_events",
    "Events that a takeover gave up and of which there are rows; above zero the projection wants a rebuild",
    "projector",
    "stream",
)
REDIS_MEMORY_BYTES = gauge(
    "bahi_redis_memory_bytes",
    "Memory that Redis uses",
)
REDIS_MEMORY_LIMIT_BYTES = gauge(
    "bahi_redis_memory_limit_bytes",
    "Redis' maxmemory, 0 without one; at the limit appends are refused, and the spool grows",
)
REDIS_EVICTS = gauge(
    "bahi_redis_evicts",
    "1 where Redis' maxmemory-policy is another than noeviction: it may drop events that nobody archived",
)
DISK_FREE_BYTES = gauge(
    "bahi_disk_free_bytes",
    "Room on the disk of the data directory or of the archive's folder; with none left nothing is accepted",
    "place",
)
DISK_BYTES = gauge(
    "bahi_disk_bytes",
    "Size of the disk of the data directory or of the archive's folder",
    "place",
)

# --- API
API_SECONDS = histogram(
    "bahi_api_seconds",
    "Time to answer a request, by route and status",
    "method",
    "route",
    "status",
    buckets=SECONDS,
)
LIVE_CLIENTS = gauge(
    "bahi_live_clients",
    "Open live connections",
)
LIVE_TICKS = counter(
    "bahi_live_ticks_total",
    "Ticks sent to live clients",
)
LIVE_SKIPPED = counter(
    "bahi_live_skipped_total",
    "Ticks that a slow client was told to have missed; its network or its code is too slow",
)
# --- Supervisor
SUPERVISOR_RESTARTS = counter(
    "bahi_supervisor_restarts_total",
    "Times that a process died and was started again",
    "child",
)

ProcessCollector(registry=REGISTRY)  # processor time, memory and open files of each process
