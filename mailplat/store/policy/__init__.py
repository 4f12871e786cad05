"""The table in which policy filters remember: in memory, in SQLite, in PostgreSQL."""
