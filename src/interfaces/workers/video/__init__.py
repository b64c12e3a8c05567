"""The video worker."""
