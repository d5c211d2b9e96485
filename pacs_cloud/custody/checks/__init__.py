"""Checks that somebody began from a page: how far they are, and what the last ones found."""
