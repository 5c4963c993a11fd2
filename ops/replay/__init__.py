"""`bahi replay`: a span of the log again, to live clients, to the sandbox exchange, or into tables of its own."""
