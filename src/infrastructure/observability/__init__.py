"""What a worker says about itself: logs."""
