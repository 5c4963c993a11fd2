"""How the trades did: profit and loss by strategy and account, by day, of round trips; tax lots."""
