"""`bahi parked`: what could not be stored, looked at in the tables, and decided about through the API."""
