"""Databases on real PostgreSQL servers for the tests of what only PostgreSQL does."""

from __future__ import annotations

import uuid

import psycopg

from src.infrastructure.db import schema
from tests.servers.process import Server


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """One statement in a connection of its own; its rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def make_database(server: Server, *, migrate: bool = True) -> str:
    """The address of a new database."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    execute(f"{server.url}/postgres", f'CREATE DATABASE "{name}"')
    url = f"{server.url}/{name}"
    if migrate:
        schema.upgrade(url)
    return url


def as_user(url: str, login: str) -> str:
    """The same address for somebody else: `user` or `user:password`."""
    return url.replace("//postgres@", f"//{login}@")
