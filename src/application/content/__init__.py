"""Jobs of the content worker: pictures and facts of films, the SSD tier, clean-up, daily figures."""
