import socket

import pytest

from pacs_cloud.bootstrap.ports import Reservation, listening_socket
from pacs_cloud.errors import Unavailable
from pacs_cloud.settings import Address


def test_port_0_becomes_a_free_one_that_several_processes_share() -> None:
    reserved = Reservation(Address(host="127.0.0.1", port=0))
    first, second = listening_socket(reserved.address), listening_socket(reserved.address)
    first.listen()
    second.listen()
    socket.create_connection(("127.0.0.1", reserved.address.port), 5).close()
    for each in (first, second):
        each.close()
    reserved.close()


def test_a_reserved_port_that_nobody_serves_refuses_connections() -> None:
    reserved = Reservation(Address(host="127.0.0.1", port=0))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", reserved.address.port), 5)
    reserved.close()


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_strangers_port_is_never_joined(reuse_port: bool) -> None:
    stranger = socket.socket()
    if reuse_port:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    stranger.bind(("127.0.0.1", 0))
    stranger.listen()
    with pytest.raises(Unavailable, match="in use"):
        Reservation(Address(host="127.0.0.1", port=stranger.getsockname()[1]))
    stranger.close()


def test_a_host_that_is_not_ours_is_said() -> None:
    with pytest.raises(Unavailable, match="cannot listen"):
        Reservation(Address(host="192.0.2.1", port=0))
