-- empty_ticks: before each round of a benchmark, on a server of its own
truncate ticks
