"""The wiring and the command line, without processes."""
