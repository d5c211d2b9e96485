"""Pixels in their transfer syntaxes: frames decoded, encoded, and data sets recoded (PS3.5 8.2)."""
