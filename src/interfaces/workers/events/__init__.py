"""The worker that hears events of other systems."""
