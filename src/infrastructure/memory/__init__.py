"""An adapter for every port, in this process's memory: for tests and for trying things out. Nothing outlives the process."""
