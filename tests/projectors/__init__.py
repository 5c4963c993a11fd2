"""Each projector: events in, rows out, on real PostgreSQL."""
