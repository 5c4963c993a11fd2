"""The roof: the command, the supervisor, embedded servers, the sandbox exchange, verify, benchmarks."""
