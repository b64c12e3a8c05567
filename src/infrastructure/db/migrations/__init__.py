"""Alembic migrations; run by infrastructure/db/schema.py, without an ini file."""
