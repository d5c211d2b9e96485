"""The files of a tree in the order of their keys, one directory in memory per level."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def walk(root: Path, prefix: str, after: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield key and status of each file whose key begins with `prefix` and sorts behind `after`.

    The order is that of the keys' bytes, as S3 lists them. A symbolic link is told as
    what it is, and not followed. What appears or goes meanwhile may or may not be told; but of
    a name that goes once another one behind it is there one of the two is.
    """
    yield from _walk(str(root), "", prefix, after)


def _walk(root: str, folder: str, prefix: str, after: str) -> Iterator[tuple[str, os.stat_result]]:
    is_whole = False
    while not is_whole:
        is_whole = True
        for name in _sorted_names(root, folder):
            key = folder + name
            if not may_hold(key, prefix, after):
                continue
            if key.endswith("/"):
                yield from _walk(root, key, prefix, after)
                continue
            try:
                status = os.lstat(f"{root}/{key}")
            except FileNotFoundError:
                # What takes its place was named before it went: only since we looked.
                after, is_whole = key, False
                break
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield key, status


def _sorted_names(root: str, folder: str) -> list[str]:
    """Return the names in a directory; a directory's with `/`, as it stands in keys."""
    try:
        with os.scandir(f"{root}/{folder}") as entries:
            return sorted(
                f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in entries
                if not entry.name.startswith(".")
            )
    except FileNotFoundError:
        return []


def may_hold(key: str, prefix: str, after: str) -> bool:
    """Return whether `key`, or for a folder (`…/`) any below it, is asked for."""
    if key.endswith("/"):
        matches = key.startswith(prefix) or prefix.startswith(key)
        return matches and (key > after or after.startswith(key))
    return key.startswith(prefix) and key > after
