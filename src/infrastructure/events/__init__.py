"""Ways of telling other systems, and of hearing from them."""
