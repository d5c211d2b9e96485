"""Which instances a DIMSE peer acknowledged, told from the bytes it sent (PS3.8 9.3, PS3.7 9.3.1)."""

import struct

ASSOCIATE_AC = 2
P_DATA_TF = 4
C_STORE_RSP = 0x8001


class Answers:
    """The C-STORE responses with Success on any number of connections."""

    def __init__(self) -> None:
        self.acknowledged: frozenset[str] = frozenset()
        self._streams: dict[str, bytearray | None] = {}
        self._commands: dict[str, bytearray] = {}

    def feed(self, connection: str, sent: bytes) -> bool:
        """Take what went out on `connection`; return whether it acknowledged an instance."""
        stream = self._streams.setdefault(connection, bytearray())
        if stream is None:
            return False
        if not stream and connection not in self._commands:
            # The acceptor's first PDU tells a DIMSE association from HTTP.
            if sent[:2] != bytes([ASSOCIATE_AC, 0]):
                self._streams[connection] = None
                return False
            self._commands[connection] = bytearray()
        stream += sent
        before = len(self.acknowledged)
        while len(stream) >= 6:
            kind, _, length = struct.unpack_from(">BBI", stream)
            if len(stream) < 6 + length:
                break
            if kind == P_DATA_TF:
                self._data(connection, bytes(stream[6 : 6 + length]))
            del stream[: 6 + length]
        return len(self.acknowledged) > before

    def _data(self, connection: str, items: bytes) -> None:
        at = 0
        while at < len(items):
            length, _, control = struct.unpack_from(">IBB", items, at)
            if control & 1:
                command = self._commands[connection]
                command += items[at + 6 : at + 4 + length]
                if control & 2:
                    self._command(parse_command(bytes(command)))
                    command.clear()
            at += 4 + length

    def _command(self, elements: dict[int, bytes]) -> None:
        code = struct.unpack("<H", elements[0x0100])[0]
        if code == C_STORE_RSP and elements[0x0900] == b"\0\0":
            uid = elements[0x1000].rstrip(b"\0 ").decode("ascii")
            self.acknowledged |= {uid}


def parse_command(data: bytes) -> dict[int, bytes]:
    """Return a command set's values by element number of group 0000 (implicit little endian)."""
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        _, element, length = struct.unpack_from("<HHI", data, at)
        elements[element] = data[at + 8 : at + 8 + length]
        at += 8 + length
    return elements
