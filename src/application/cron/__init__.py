"""Jobs by the clock: schedules, where they are written down, and the scheduler that fires each of their moments once."""
