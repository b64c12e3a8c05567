"""Adapters: one folder per technology; each implements ports and is imported only when configured."""
