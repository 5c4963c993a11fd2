-- api_decided: up to which request of each stream decisions were taken in
select stream, n from decisions

-- api_known_account: whether there is an account of this name
select exists (select from trading_accounts where account_id = %(account)s) as known

-- api_strategies: a page of the strategies by id: those that were described, and those that a tag or a rule names
with recursive traded as (
    (select account_id, strategy_id from books where not draft order by account_id, strategy_id limit 1)
    union all
    select next.account_id, next.strategy_id
    from traded cross join lateral (
        select account_id, strategy_id from books
        where not draft and (account_id, strategy_id) > (traded.account_id, traded.strategy_id)
        order by account_id, strategy_id limit 1) next
), ruled as (
    select strategy_id, count(*) as rules from attribution_rules where ended_at is null and not draft
    group by strategy_id
)
select strategy_id, coalesce(told.name, '') as name, coalesce(told.description, '') as description,
       coalesce(told.active, true) as active, told.strategy_id is not null as described,
       coalesce(ruled.rules, 0) as rules,
       array(select account_id from traded held where held.strategy_id = known.strategy_id order by 1) as accounts,
       told.set_at
from (select strategy_id from strategies
      union select strategy_id from traded where strategy_id <> 'none'
      union select strategy_id from attribution_rules where ended_at is null) known
left join strategies told using (strategy_id)
left join ruled using (strategy_id)
where (%(strategy)s::text is null or strategy_id = %(strategy)s)
  and (%(active)s::boolean is null or coalesce(told.active, true) = %(active)s)
  and (%(after)s::text is null or strategy_id > %(after)s)
order by strategy_id
limit %(limit)s

-- api_rules: a page of the rules by id, behind a place in that order
select rule_id, strategy_id, kind, pattern, account_id, priority, valid_from, valid_to, draft, set_at, ended_at, n
from attribution_rules
where (%(ended)s::boolean or ended_at is null)
  and (%(draft)s::boolean is null or draft = %(draft)s)
  and (%(kind)s::text is null or kind = %(kind)s)
  and (%(strategy)s::text is null or strategy_id = %(strategy)s)
  and (%(account)s::text is null or account_id = %(account)s)
  and (%(rule)s::text is null or rule_id = %(rule)s)
  and (%(after_rule)s::text is null
       or (rule_id, draft, n) > (%(after_rule)s::text, %(after_draft)s::boolean, %(after_n)s::bigint))
order by rule_id, draft, n
limit %(limit)s

-- api_executed: on which days and exchanges an account had an order or a trade of this id
select day, exchange from orders
where account_id = %(account)s and order_id = %(order_id)s and %(trade_id)s::text is null
  and (%(day)s::date is null or day = %(day)s) and (%(exchange)s::text is null or exchange = %(exchange)s)
union
select day, exchange from trades
where account_id = %(account)s and order_id = %(order_id)s
  and (%(trade_id)s::text is null or trade_id = %(trade_id)s)
  -- An order that waited over night is of another day than its trades: it is one order all the same.
  and (%(trade_id)s::text is not null or %(day)s::date is not null
       or not exists (select from orders where orders.account_id = %(account)s and orders.order_id = %(order_id)s))
  and (%(day)s::date is null or day = %(day)s) and (%(exchange)s::text is null or exchange = %(exchange)s)
order by day, exchange

-- api_corporate_actions: a page of the splits and bonus issues by id
select action_id, kind, exchange, tradingsymbol, day, ratio_old, ratio_new from corporate_actions
where (%(action)s::text is null or action_id = %(action)s)
  and (%(exchange)s::text is null or exchange = %(exchange)s)
  and (%(tradingsymbol)s::text is null or tradingsymbol = %(tradingsymbol)s)
  and (%(after)s::text is null or action_id > %(after)s)
order by action_id
limit %(limit)s

-- api_tariffs: the tables of charges, a user's before the one that ships
select broker, shipped, row_number() over (partition by broker order by shipped) = 1 as in_force, text, sha256, n
from tariffs order by broker, shipped

-- api_corrections: a page of an account's fills that were told by hand, by id
select fill_id, exchange, tradingsymbol, product, side, quantity, price, time, order_id, strategy_id, reason
from corrections
where account_id = %(account)s
  and (%(fill)s::text is null or fill_id = %(fill)s)
  and (%(tradingsymbol)s::text is null or tradingsymbol = %(tradingsymbol)s)
  and (%(after)s::text is null or fill_id > %(after)s)
order by fill_id
limit %(limit)s
