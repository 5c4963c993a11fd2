-- A round trip's lots are found by the trip: what an account won in a week is asked often.

create index closed_lots_trip on closed_lots (account_id, strategy_id, exchange, tradingsymbol, product, trip)
    where not draft;
