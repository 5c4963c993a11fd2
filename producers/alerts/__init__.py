"""Messages to the user when something is wrong, and when it is well again: a reactor on the log with an outbox."""
