"""Settings become adapters, adapters services, services processes."""
