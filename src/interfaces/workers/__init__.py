"""Entry points of worker processes. Each worker is named after what it does; any of them runs on any queue."""
