"""A walk's order is the keys' order, whatever the names."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pacs_cloud.objectstore.keys import check_key
from pacs_cloud.objectstore.walk import walk

components = st.text("ab.-_01", min_size=1, max_size=3).filter(lambda text: text[0] != ".")
key = st.lists(components, min_size=1, max_size=4).map("/".join)


def without_clashes(keys: set[str]) -> list[str]:
    """Drop keys that are another's folder, which a file system cannot hold."""
    return sorted(k for k in keys if not any(other.startswith(f"{k}/") for other in keys))


@settings(max_examples=60, deadline=None)
@given(st.sets(key, max_size=25), st.text("ab.-_01/", max_size=4), key | st.just(""))
def test_a_walk_is_the_sorted_filtered_keys(keys: set[str], prefix: str, after: str) -> None:
    names = without_clashes(keys)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in names:
            check_key(name)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"")
        found = [name for name, _ in walk(root, prefix, after)]
    assert found == [name for name in names if name.startswith(prefix) and name > after]
