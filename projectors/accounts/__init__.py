"""The trading accounts: what brokers told of orders, trades, positions, holdings and margins, as tables.

    snapshot event -> body (`bodies`) -> rows (`kite`, by `reading`) -> what changed (`changes`) -> tables (`taking`)

Everything is derived from the one stream `accounts`; nothing here asks a broker, a clock or another projection.
"""
