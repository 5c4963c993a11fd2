-- How analytics find their rows: by strategy over accounts, and what a trade closed.

create index trades_of_strategy on trades (strategy_id, time);
create index closed_lots_strategy on closed_lots (strategy_id, day) where not draft;
create index closed_lots_closing on closed_lots (account_id, day, closed_order_id, closed_trade_id) where not draft;
drop index closed_lots_day; -- the one above begins with the same columns
