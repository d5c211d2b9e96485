"""Custody: what was stored is there, is what was stored, and is found again."""
