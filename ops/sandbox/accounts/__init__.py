"""The account side of the sandbox exchange: users, orders, trades, positions, holdings and money, as Kite has them.

    request -> Desk (checks, margin) -> Register -> Book -> Kite's JSON
    tick    -> Desk (triggers, fills against five levels of the floor) -> Register -> Book
    Register: entries change their book at once, are written to the ledger in groups, and then order updates and
              postbacks go out

Every change is an entry of the ledger, written before anybody hears of it, so that a restart finds every book as it
was. Traders and GTTs ask the desk as users do.
"""
