-- make_database: what a new cluster needs once. Read by `postgres --single -j`: statements end with ; and an empty line.
CREATE DATABASE bahi;
