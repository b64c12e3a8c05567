"""Crash storms: `make chaos`. A short form of each runs in `make test`."""
