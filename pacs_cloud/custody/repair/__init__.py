"""Repairs of what a check has found: named first, done when asked for, and checked again."""
