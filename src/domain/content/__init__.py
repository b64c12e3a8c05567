"""Rules of the content jobs."""
