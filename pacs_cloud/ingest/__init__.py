"""From a received instance to a committed pack."""
