"""Which study was read on which day: counted by who serves, added up by the worker."""
