"""How long tests wait for what has to come.

A machine ten times slower passes, and whoever is quick waits for nothing. Under the limit of a
test (`timeout` in pyproject.toml), so that what was waited for is told.
"""

from typing import Final

PATIENCE_S: Final = 180.0
