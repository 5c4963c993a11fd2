"""The account side of the sandbox exchange: users, orders, trades, positions, holdings and money, as Kite has them.

    request -> Desk (checks, margin) -> ledger entry -> Book -> Kite's JSON
    tick    -> Desk -> fills against the five levels of the book -> ledger entry -> Book -> postback, order update

Every change is an entry of the ledger, written before it counts, so that a restart finds every book as it was.
"""
