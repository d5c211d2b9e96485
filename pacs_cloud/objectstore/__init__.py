"""Bytes under write-once keys, wherever they lie."""
