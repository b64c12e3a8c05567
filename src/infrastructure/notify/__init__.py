"""Telling people: one adapter per way."""
