"""Workers: what is done after the commit, at least once, by whoever is there."""
