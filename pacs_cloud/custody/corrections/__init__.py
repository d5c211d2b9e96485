"""Corrections: patients merged, studies moved, attributes mended; each of them undone."""
