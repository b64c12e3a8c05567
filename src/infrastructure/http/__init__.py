"""The platform's own API, by HTTP."""
