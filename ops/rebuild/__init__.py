"""`bahi rebuild`: tables made again from the log, beside the live ones, and put in their place."""
