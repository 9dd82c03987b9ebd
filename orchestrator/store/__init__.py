"""The database, its lease and its migrations."""
