-- empty_ticks: before each round of a benchmark, on a server of its own
truncate ticks

-- forget_checkpoints: let projectors begin again, on a server of its own
delete from projection_checkpoints

-- empty_candles: before each round of a rebuild of candles, on a server of its own
truncate candles_1m, candle_volumes, candle_clocks, candle_uncovered, candle_subscriptions

-- fold_ticks: one-minute candles of all ticks that are held, as SQL makes them: what folding in memory is measured against
select instrument_token, date_trunc('minute', time) as bucket,
       (array_agg(last_price order by n))[1] as open, max(last_price) as high, min(last_price) as low,
       (array_agg(last_price order by n desc))[1] as close, max(volume) - min(volume) as volume,
       (array_agg(oi order by n desc))[1] as oi, count(*) as tick_count
from ticks group by 1, 2

-- tick_bytes: what the ticks take on disk, without and with their indexes: what the archive's size is measured against
select sum(pg_table_size(relid))::bigint as heap, sum(pg_total_relation_size(relid))::bigint as with_indexes
from pg_partition_tree('ticks') where isleaf
