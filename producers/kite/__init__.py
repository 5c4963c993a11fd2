"""Kite Connect v3, and the sandbox exchange, which speaks it: REST, ticker, instruments. See docs/sandbox.md."""
