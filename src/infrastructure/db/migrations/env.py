"""What alembic runs: on the connection it is given, inside the caller's transaction, or as SQL text."""

from __future__ import annotations

from alembic import context

from src.infrastructure.db.indexes import complete_metadata

attributes = context.config.attributes
if context.is_offline_mode():
    context.configure(url=attributes["url"], target_metadata=complete_metadata(), literal_binds=True)
else:
    context.configure(connection=attributes["connection"], target_metadata=complete_metadata())
with context.begin_transaction():
    context.run_migrations()
