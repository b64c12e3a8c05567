"""Redis and what speaks its protocol (Valkey): a queue, the idempotency lock, readings of progress."""
