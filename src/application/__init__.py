"""Use cases: the engine that runs any job on any queue, and the work of each job type. Knows domain and ports only."""
