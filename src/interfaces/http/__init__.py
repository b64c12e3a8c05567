"""What a worker answers to over HTTP."""
