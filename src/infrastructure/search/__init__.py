"""Search indexes: a file of SQLite, or Meilisearch."""
