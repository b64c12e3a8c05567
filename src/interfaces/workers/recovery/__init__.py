"""The worker that runs the recovery jobs."""
