"""`bahi explain STREAM N`: the whole life of one event, from the wire to the rows that it became."""
