"""The worker that fires cron's entries."""
