"""Read what strace wrote: system calls, each with the moments it began and ended.

Expects `strace -f -ttt -yy -xx -s LARGE -o FILE`: one line a call, or two when
another thread's lines came between, every string as `\\x…`.
"""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(r"^(\d+)\s+\d+\.\d+\s+(.*)$", re.DOTALL)
_WHOLE = re.compile(r"^([\w?]+)\((.*)\)\s+= (.*)$", re.DOTALL)
_BEGUN = re.compile(r"^([\w?]+)\((.*) <unfinished \.\.\.>$", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. ([\w?]+) resumed>(.*)$", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")
_FD = re.compile(r"^(-?\d+|AT_FDCWD)(?:<(.*?)>)?(?=,|$|\s|\()")


class Truncated(Exception):
    """strace cut a string short: its -s was too small."""


@dataclass(slots=True)
class Call:
    """One system call; `result` is "" until it ended.

    Its name is "???" where the thread was killed as it entered: the call was never made.
    """

    tid: int
    name: str
    args: str
    result: str = ""

    @property
    def returned(self) -> int:
        """What it returned; -1 when it failed or never did."""
        number = re.match(r"-?(?:0x[0-9a-f]+|\d+)", self.result)
        return int(number[0], 0) if number else -1

    @property
    def fd(self) -> int:
        """Its first argument as a file descriptor."""
        found = _FD.match(self.args)
        return int(found[1]) if found and found[1] != "AT_FDCWD" else -1

    @property
    def what(self) -> str:
        """What strace says that its first argument is: a path, `TCP:[…]`, …"""
        found = _FD.match(self.args)
        return plain(found[2] or "") if found else ""

    def texts(self) -> list[bytes]:
        """Return every string among its arguments, in order."""
        found = _TEXT.findall(self.args)
        if any(cut for _, cut in found):
            raise Truncated(f"a string of {self.name} was cut short")
        return [bytes.fromhex(text.replace("\\x", "")) for text, _ in found]

    def paths(self) -> list[str]:
        """Return every path among its arguments, in order, made absolute by its directory's."""
        found: list[str] = []
        for folder, text, cut in _PATH.findall(self.args):
            path = bytes.fromhex(text.replace("\\x", "")).decode()
            if cut or folder.endswith("(deleted)"):
                raise Truncated(f"a path of {self.name} was cut short")
            found.append(posixpath.normpath(posixpath.join(plain(folder), path)))
        return found

    def words(self) -> list[str]:
        """Return its arguments other than strings, brackets taken off."""
        return [word.strip(" {}[]") for word in _TEXT.sub('""', self.args).split(",")]


@dataclass(frozen=True, slots=True)
class Began:
    """`call` was entered; it is whole already, its result included, when it has one."""

    call: Call


@dataclass(frozen=True, slots=True)
class Ended:
    """`call` has returned."""

    call: Call


def read_calls(lines: Iterable[str]) -> Iterator[Began | Ended]:
    """Yield each call's beginning and end in the order of the log, read to its end first."""
    moments: list[Began | Ended] = []
    under_way: dict[int, Call] = {}
    for line in lines:
        matched = _LINE.match(line.rstrip("\n"))
        if matched is None:
            raise ValueError(f"not a line of strace: {line[:80]!r}")
        tid, said = int(matched[1]), matched[2]
        if said.startswith(("+++", "---")):
            continue
        if begun := _BEGUN.match(said):
            under_way[tid] = Call(tid, begun[1], begun[2])
            moments.append(Began(under_way[tid]))
        elif resumed := _RESUMED.match(said):
            call = under_way.pop(tid)
            # A call that was interrupted, or that never returns, has "?" or nothing.
            if whole := _WHOLE.match(f"{call.name}({call.args}{resumed[2]}"):
                call.args, call.result = whole[2], whole[3]
            moments.append(Ended(call))
        elif whole := _WHOLE.match(said):
            call = Call(tid, whole[1], whole[2], whole[3])
            moments += [Began(call), Ended(call)]
        elif not said.endswith("<detached ...>"):
            raise ValueError(f"not a call: {said[:80]!r}")
    # A call's result is known where it begins: how much of an answer went out, say.
    yield from moments


def plain(text: str) -> str:
    """Return `text` with its `\\x…` as what they stand for; "(deleted)" and devices follow bare."""
    return _HEX.sub(lambda run: os.fsdecode(bytes.fromhex(run[0].replace("\\x", ""))), text)
