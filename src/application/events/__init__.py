"""Events out: which there are, how they look, and who sends them."""
