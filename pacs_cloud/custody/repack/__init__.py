"""The small packs of a quiet series become one, encoded anew without loss where that is asked."""
