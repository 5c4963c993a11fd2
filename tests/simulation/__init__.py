"""The log's own code over a simulated kernel, network, Redis and PostgreSQL: one seed decides all that happens."""
