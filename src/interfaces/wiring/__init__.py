"""The only place that knows all layers: settings, adapters, assembly, start-up checks."""
