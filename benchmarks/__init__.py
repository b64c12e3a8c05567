"""Measurements, as ratios of runs side by side in one session: `make bench`."""
