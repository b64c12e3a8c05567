"""The content worker."""
