"""Replay a system-call trace of the archive on a disk that loses power.

A write is seen once its call returned; a sync covers what was written before
it began, and counts once it returned; an answer counts as sent when its call
begins. Each is the harder reading. A descriptor's number is free when its close
begins: another thread may have it before the close returns. One reading is not taken, since it never happens: that a
directory is not there yet after another thread was told that it is (EEXIST).
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from crash.dimse_answers import Answers
from crash.disk import Directory, Disk, File, Node, Sync
from crash.strace_log import Began, Call, Ended, plain

TRACED = (
    "open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,lseek,"
    "write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,"
    "fsync,fdatasync,sync,syncfs,sync_file_range,msync,mmap,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,copy_file_range,sendfile,splice,"
    "sendto,sendmsg,sendmmsg,clone,clone3,fork,vfork"
)
"""What strace must record, for its -e trace=."""

AT_FDCWD = "AT_FDCWD"
_OPEN_FILE = "/proc/self/fd/"
NOT_DURABLE = "-shm"
"""SQLite's shared memory: mapped, rebuilt from the WAL, never relied on."""


class Unmodelled(Exception):
    """The archive made a system call that this model does not know how to lose."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A moment at which the power may fail.

    Attributes:
        number: counted from 0.
        after: the call it follows or interrupts.
        acknowledged: SOP Instance UIDs whose Success had been sent.
    """

    number: int
    after: str
    acknowledged: frozenset[str]


@dataclass(eq=False, slots=True)
class _Descriptor:
    """An open file description: duplicates share its offset."""

    node: Node
    append: bool = False
    offset: int = 0


@dataclass(eq=False, slots=True)
class _Process:
    """One table of file descriptors, shared by a process's threads."""

    descriptors: dict[int, _Descriptor] = field(default_factory=dict)

    def described(self, call: Call) -> _Descriptor | None:
        """Return what the descriptor that `call` begins with stands for, here.

        An exec closes descriptors unseen, and sockets and pipes take their
        numbers: strace's own word on the descriptor tells them apart.
        """
        return self.descriptors.get(call.fd) if call.what.startswith("/") else None


class Replay:
    """What the archive did to the directory `root`, call by call."""

    def __init__(self, root: Path) -> None:
        self.disk = Disk()
        self._root = PurePosixPath(os.path.realpath(root))
        self._processes: dict[int, _Process] = {}
        self._syncs: dict[int, Sync] = {}
        self._answers = Answers()
        self._cuts = 0
        self._made_early: set[str] = set()

    def run(self, moments: Iterable[Began | Ended]) -> Iterator[Cut]:
        """Replay all of it; stop at every moment that matters, with `disk` as it was then."""
        moments = list(moments)
        parents = {
            moment.call.returned: moment.call
            for moment in moments
            if isinstance(moment, Ended)
            and moment.call.name in {"clone", "clone3", "fork", "vfork"}
            and moment.call.returned > 0
        }
        for moment in moments:
            call = moment.call
            process = self._process(call.tid, parents)
            if isinstance(moment, Began):
                if call.name in {"fsync", "fdatasync"}:
                    node = self._synced(call, process)
                    if node is not None:
                        self._syncs[call.tid] = self.disk.begin_sync(node)
                elif call.name in {"close", "close_range"}:
                    self._close(call, process)
                elif self._is_answer(call):
                    yield self._cut(call)
            elif call.returned >= 0:
                if call.name in {"fsync", "fdatasync"}:
                    sync = self._syncs.pop(call.tid, None)
                    if sync is not None:
                        yield self._cut(call)
                        self.disk.end_sync(sync)
                        yield self._cut(call)
                elif self._apply(call, process):
                    yield self._cut(call)
            elif call.name.startswith("mkdir") and "EEXIST" in call.result:
                self._is_there(call)

    def _cut(self, call: Call) -> Cut:
        self._cuts += 1
        return Cut(self._cuts - 1, call.name, self._answers.acknowledged)

    def _process(self, tid: int, parents: dict[int, Call]) -> _Process:
        """Return the table of `tid`, as its parent left it when it is new."""
        if tid not in self._processes:
            born = parents.get(tid)
            if born is None:
                self._processes[tid] = _Process()
            else:
                parent = self._process(born.tid, parents)
                shares = "CLONE_FILES" in born.args
                self._processes[tid] = parent if shares else _Process(dict(parent.descriptors))
        return self._processes[tid]

    def _synced(self, call: Call, process: _Process) -> Node | None:
        """Return what `call` syncs: its descriptor may have come from another process."""
        path = self._inside(call.what) if call.what.startswith("/") else None
        node = self.disk.find(path) if path is not None else None
        if node is None and (descriptor := process.described(call)) is not None:
            node = descriptor.node
        return node

    def _is_answer(self, call: Call) -> bool:
        """Note what goes out on a TCP socket; return whether it acknowledged an instance."""
        sends = {"sendto", "sendmsg", "write", "writev"}
        if call.name not in sends or not call.what.startswith("TCP") or call.returned <= 0:
            return False
        sent = b"".join(call.texts())[: call.returned]
        return self._answers.feed(call.what, sent)

    # names

    def _inside(self, path: str) -> str | None:
        """Return `path` relative to the root; None when it is elsewhere or not durable."""
        pure = PurePosixPath(path)
        if not pure.is_absolute():
            raise Unmodelled(f"a relative path: {path}")
        if not pure.is_relative_to(self._root) or path.endswith(NOT_DURABLE):
            return None
        return str(pure.relative_to(self._root))

    def _paths(self, call: Call) -> list[str | None]:
        """Return the paths `call` names, each relative to the root or None."""
        return [self._inside(path) for path in call.paths()]

    def _apply(self, call: Call, process: _Process) -> bool:
        """Do what `call` did; return whether names or sizes changed."""
        name = call.name
        if "?" in name:
            raise Unmodelled("a call that strace could not name returned")
        if name in {"open", "openat", "openat2", "creat"}:
            return self._open(call, process)
        if name in {"close", "close_range"}:
            return False  # done when it began
        if name in {"dup", "dup2", "dup3", "fcntl"}:
            self._duplicate(call, process)
            return False
        if name in {"rename", "renameat", "renameat2", "link", "linkat"}:
            return self._rename_or_link(call, process)
        if name in {"unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"}:
            path = self._paths(call)[0]
            if path is None:
                return False
            if not name.startswith("mkdir"):
                self.disk.remove(path)
            elif path in self._made_early:
                self._made_early.remove(path)
                return False
            else:
                self.disk.make_directory(path)
            return True
        if name in {"symlink", "symlinkat", "truncate"}:
            if any(path is not None for path in self._paths(call)):
                raise Unmodelled(name)
            return False
        return self._contents(call, process)

    def _is_there(self, call: Call) -> None:
        """Make the directory that `call` found, where the call that made it has not ended yet."""
        path = self._paths(call)[0]
        if path is not None and self.disk.find(path) is None:
            self.disk.make_directory(path)
            self._made_early.add(path)

    def _open(self, call: Call, process: _Process) -> bool:
        process.descriptors.pop(call.returned, None)
        path = self._paths(call)[0]
        if path is None:
            return False
        flags = call.args
        if any(flag in flags for flag in ("O_SYNC", "O_DSYNC", "O_TMPFILE", "O_DIRECT,")):
            raise Unmodelled(f"open with {call.words()[2:]}")
        node = self.disk.find(path)
        changed = node is None
        if node is None:
            node = self.disk.create(path)
        if "O_TRUNC" in flags or call.name == "creat":
            assert isinstance(node, File)
            changed = changed or bool(node.seen)
            self.disk.resize(node, 0)
        process.descriptors[call.returned] = _Descriptor(node, append="O_APPEND" in flags)
        return changed

    @staticmethod
    def _close(call: Call, process: _Process) -> None:
        table = process.descriptors
        if call.name == "close":
            table.pop(call.fd, None)
        elif "CLOEXEC" not in call.args:
            first, last = (int(word) for word in call.words()[:2])
            for closed in [fd for fd in table if first <= fd <= last]:
                del table[closed]

    @staticmethod
    def _duplicate(call: Call, process: _Process) -> None:
        table = process.descriptors
        if call.name != "fcntl" or "F_DUPFD" in call.args:
            table.pop(call.returned, None)
            if call.fd in table:
                table[call.returned] = table[call.fd]

    def _rename_or_link(self, call: Call, process: _Process) -> bool:
        named, new = call.paths()[0], self._inside(call.paths()[1])
        if named.startswith(_OPEN_FILE) and new is not None:
            descriptor = process.descriptors.get(int(named.removeprefix(_OPEN_FILE)))
            self.disk.name(descriptor and descriptor.node, new)
            return True
        old = self._inside(named)
        if old is None and new is None:
            return False
        if old is None or new is None or "EXCHANGE" in call.args:
            raise Unmodelled(f"{call.name} into or out of the data directory")
        if call.name.startswith("rename"):
            self.disk.rename(old, new)
        else:
            self.disk.link(old, new)
        return True

    # contents

    def _contents(self, call: Call, process: _Process) -> bool:
        descriptor = process.described(call)
        if call.name in {"sync", "syncfs"}:
            raise Unmodelled(call.name)
        if call.name == "mmap":
            self._map(call, process)
            return False
        if descriptor is None or isinstance(descriptor.node, Directory):
            return False
        file, words = descriptor.node, call.words()
        if call.name == "lseek":
            descriptor.offset = call.returned
        elif call.name in {"write", "writev"}:
            data = b"".join(call.texts())[: call.returned]
            start = len(file.seen) if descriptor.append else descriptor.offset
            self.disk.write(file, start, data)
            descriptor.offset = start + len(data)
        elif call.name in {"pwrite64", "pwritev", "pwritev2"}:
            data = b"".join(call.texts())[: call.returned]
            if call.name == "pwritev2" and words[-1] != "0":
                raise Unmodelled(f"pwritev2 with {words[-1]}")
            self.disk.write(file, int(words[-2 if call.name == "pwritev2" else -1]), data)
        elif call.name == "ftruncate":
            self.disk.resize(file, int(words[1]))
            return True
        elif call.name == "fallocate":
            if words[1] != "0":
                return False  # KEEP_SIZE reserves room; the contents are checked at the end
            self.disk.resize(file, max(len(file.seen), int(words[2]) + int(words[3])))
            return True
        elif call.name in {"copy_file_range", "sendfile", "splice"}:
            raise Unmodelled(f"{call.name} from or to {call.what}")
        return False

    @staticmethod
    def _map(call: Call, process: _Process) -> None:
        """Refuse a writable mapping of a file: its writes would be invisible here.

        But for the counters of processes, which nobody is promised.
        """
        words = call.words()
        number, _, path = words[4].partition("<")
        if "/metrics/" in plain(path):
            return
        if (
            "MAP_SHARED" in words[3]
            and "PROT_WRITE" in words[2]
            and number.isdecimal()
            and int(number) in process.descriptors
        ):
            raise Unmodelled("a file mapped for writing")
