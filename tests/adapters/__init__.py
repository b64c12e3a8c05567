"""What only one technology does."""
