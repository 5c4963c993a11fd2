"""What the brokers said of the trading accounts, for clients: rows, runs, changes; all from the tables."""
