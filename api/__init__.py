"""From tables and the tail of the log to clients."""
