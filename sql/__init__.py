"""PostgreSQL: pool, migrations, statements, checkpoints. The only folder that imports psycopg."""
