"""Who uses a database right now: servers hold it together, a restore wants it alone."""
