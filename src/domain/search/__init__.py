"""What finding a film by its words means, wherever we look for it ourselves."""
