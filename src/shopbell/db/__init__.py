"""Access to the database, SQLite or PostgreSQL."""
