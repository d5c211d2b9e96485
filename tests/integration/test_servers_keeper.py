"""The test servers themselves: on loopback only, and gone when their run is."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from patience import PATIENCE_S
from servers import discovery
from servers.child import ServerFailed, free_ports
from servers.endpoint import Kind
from servers.fixtures import RUN_DIRECTORY, server
from servers.keeper import SERVERS, running_lock
from servers.services import DIRECTORY as SERVICES

LISTEN = "0A"  # linux/net/tcp_states.h
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def _listening(family: str) -> dict[str, str]:
    """Return inode → local address of this network namespace's listening sockets."""
    found: dict[str, str] = {}
    try:
        lines = Path(f"/proc/net/{family}").read_text("ascii").splitlines()[1:]
    except FileNotFoundError:
        return found
    for line in lines:
        fields = line.split()
        if fields[3] == LISTEN:
            found[fields[9]] = fields[1].partition(":")[0]
    return found


def _sockets_of_session(session: int) -> set[str]:
    """Return the inodes of all sockets that the session's processes hold."""
    inodes: set[str] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getsid(int(entry.name)) != session:
                continue
            descriptors = list((entry / "fd").iterdir())
        except OSError:
            continue  # it ended meanwhile
        for descriptor in descriptors:
            with contextlib.suppress(OSError):  # a server at work closes some meanwhile
                link = os.readlink(descriptor)
                if link.startswith("socket:["):
                    inodes.add(link[8:-1])
    return inodes


@pytest.mark.parametrize("kind", sorted(SERVERS))
def test_a_server_listens_on_loopback_only(kind: Kind, pytestconfig: pytest.Config) -> None:
    server(kind, pytestconfig)
    ours = pytestconfig.stash[RUN_DIRECTORY]
    directory = ours if running_lock(ours, kind).exists() else SERVICES
    session = int(running_lock(directory, kind).read_text("ascii"))
    sockets = _sockets_of_session(session)
    listening = {**_listening("tcp"), **_listening("tcp6")}
    addresses = {address for inode, address in listening.items() if inode in sockets}
    assert addresses, "it was not found listening at all"
    assert addresses <= LOOPBACK


def _gone(directory: Path) -> bool:
    discovery.await_keepers(directory)
    return not discovery.is_kept(directory, "moto")


def test_a_server_ends_when_its_run_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / discovery.RUN_LOCK
    lock.touch()
    holder = "import fcntl, sys, time; f = open(sys.argv[1], 'rb'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", holder, str(lock)], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        run.stdout.readline()
        endpoint = discovery.start_keeper("moto", tmp_path, while_locked=lock)
        assert discovery.answers(endpoint)
        run.kill()
    assert _gone(tmp_path)
    assert not discovery.answers(endpoint)


def test_a_keeper_killed_outright_takes_its_server_along(tmp_path: Path) -> None:
    reason = SERVERS["seaweedfs"].unavailable()
    if reason is not None:
        pytest.skip(reason)
    endpoint = discovery.start_keeper("seaweedfs", tmp_path)
    os.kill(int(running_lock(tmp_path, "seaweedfs").read_text("ascii")), signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while discovery.answers(endpoint) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not discovery.answers(endpoint)


def test_a_port_that_is_taken_is_an_error_with_its_reason(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    first = discovery.start_keeper("moto", tmp_path, port=port)
    (tmp_path / "second").mkdir()
    try:
        with pytest.raises(ServerFailed, match="did not start"):
            discovery.start_keeper("moto", tmp_path / "second", port=port)
        assert discovery.answers(first)
    finally:
        os.kill(int(running_lock(tmp_path, "moto").read_text("ascii")), signal.SIGTERM)
    assert _gone(tmp_path)


def test_one_keeper_for_a_directory(tmp_path: Path) -> None:
    with running_lock(tmp_path, "moto").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ServerFailed, match="already kept"):
            discovery.start_keeper("moto", tmp_path)
