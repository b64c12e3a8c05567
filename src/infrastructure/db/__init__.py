"""The database: SQLAlchemy Core on SQLite (embedded) or PostgreSQL, with one set of tables, statements and migrations."""
