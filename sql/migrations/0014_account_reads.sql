-- How users look for their orders and trades: by symbol, by strategy, by order, and changes by kind.

create index orders_symbol on orders (account_id, tradingsymbol, day, order_id);
create index orders_strategy on orders (account_id, strategy_id, day, order_id);
create index trades_order on trades (account_id, order_id);
create index trades_traded on trades (account_id, tradingsymbol, time);
create index trades_strategy on trades (account_id, strategy_id, time);
create index account_changes_kind on account_changes (kind, cursor);
