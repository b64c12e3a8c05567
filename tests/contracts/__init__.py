"""One file per port: its promises, on every adapter."""
