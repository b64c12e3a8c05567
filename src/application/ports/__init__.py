"""What the application asks of the world: one file per conversation, promises in the docstrings, tested in tests/contracts."""
