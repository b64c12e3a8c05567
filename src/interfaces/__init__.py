"""Everything that starts a process or answers a human."""
