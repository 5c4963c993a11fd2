"""One suite for each port, run on the simulated and on the real one."""
