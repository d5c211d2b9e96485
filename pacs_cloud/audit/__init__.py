"""Who did what: written before it is answered, chained by hashes, sealed into objects."""
