"""mediaworker: heavy media jobs, done outside the API. Layers: domain < application < infrastructure < interfaces."""

__version__ = "0.1.0"
"""A test compares it with pyproject.toml."""
