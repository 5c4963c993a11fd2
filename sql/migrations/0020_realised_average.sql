-- What was won by average cost, beside first in first out: of each closing, so that it is known of any span of days.
-- Lots that were closed before have none until `bahi rebuild accounts`.

alter table closed_lots add realised_average numeric;
comment on column closed_lots.realised_average is 'By average cost: a closing''s result, shared out by quantity. Null where an older version closed it.';

create or replace view daily_pnl_by_strategy as
select account_id, strategy_id, day, coalesce(realised, 0) as realised, coalesce(charges, 0) as charges,
       coalesce(realised, 0) - coalesce(charges, 0) as net, coalesce(trades, 0) as trades,
       coalesce(turnover, 0) as turnover, coalesce(wins, 0) as wins, coalesce(losses, 0) as losses,
       case when realised is null then 0 else realised_average end as realised_average
from (select account_id, strategy_id, day, sum(realised) as realised, count(*) filter (where realised > 0) as wins,
             count(*) filter (where realised < 0) as losses,
             case when bool_and(is_whole) then sum(realised_average) end as realised_average
      from (select account_id, strategy_id, day, closed_order_id, closed_trade_id, sum(realised) as realised,
                   count(realised_average) = count(*) as is_whole, sum(realised_average) as realised_average
            from closed_lots where not draft
            group by account_id, strategy_id, day, exchange, closed_order_id, closed_trade_id) closing
      group by account_id, strategy_id, day) won
full join (select account_id, coalesce(strategy_id, 'none') as strategy_id, day, sum(total) as charges,
                  count(*) as trades, sum(quantity * price * coalesce(multiplier, 1)) as turnover
           from trades
           left join trade_charges using (account_id, day, exchange, order_id, trade_id)
           left join multipliers using (exchange, tradingsymbol)
           group by account_id, coalesce(strategy_id, 'none'), day) paid using (account_id, strategy_id, day);
comment on view daily_pnl_by_strategy is 'What each strategy won by closing (first in first out, and by average cost) on each day, what its trades cost, and how many.';
