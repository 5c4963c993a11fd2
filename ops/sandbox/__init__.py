"""The sandbox exchange: a market that speaks Kite Connect v3, so that any Kite client can be pointed at it.

    wire.py         packets and messages, made many at a time
    instruments.py  what is listed: contracts.py makes futures and options, spots.csv holds the rest
    paths.py        prices as a function of seed and time; market.py makes packets of them, history.py candles
    tape.py         recorded ticks instead of the generated market
    connection.py   one client's websocket; hub.py all of them; feed.py what drives them
    session.py, rest.py, quotes.py, limits.py, envelope.py   Kite's REST
    journal.py      what was sent, written before it is sent
    faults.py, control.py   misbehaviour on request
    server.py       the way in: `run`

It never closes: its market trades at any hour of any day. Guide: docs/sandbox.md.
"""
