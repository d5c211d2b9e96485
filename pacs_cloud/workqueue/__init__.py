"""Jobs that must happen at least once, whoever dies meanwhile."""
