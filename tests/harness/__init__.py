"""What the tests stand on: a real PostgreSQL, real server processes, the command line, and plain HTTP."""
