"""How long and how much an association may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Time in seconds, sizes in bytes.

    Attributes:
        artim_s: from connection to a complete A-ASSOCIATE-RQ, and from our last
            word to the peer's closing (PS3.8 9.1.5); also how long the gate, an
            answer to our request and a release may take.
        tls_s: how long a TLS handshake may take; it comes before all of that.
        network_s: how long a peer may stay silent within a message, or leave
            our bytes unread.
        idle_s: how long an association may do nothing.
        response_s: how long a peer may take to answer one of our requests.
        max_length: the longest P-DATA-TF body we take; DCMTK's own largest.
        max_associate_bytes: the longest A-ASSOCIATE body we take; 128 contexts
            with every transfer syntax there is need less than half.
        max_command_bytes: the longest command set we take.
        max_data_set_bytes: the longest data set of a response we take.
        receive_buffer_bytes: of each association.
        send_bytes: what we read, join and write at a time.
    """

    artim_s: float = 30.0
    tls_s: float = 10.0
    network_s: float = 60.0
    idle_s: float = 300.0
    response_s: float = 300.0
    max_length: int = 131072
    max_associate_bytes: int = 1 << 20
    max_command_bytes: int = 1 << 16
    max_data_set_bytes: int = 16 << 20
    receive_buffer_bytes: int = 1 << 18
    send_bytes: int = 1 << 20
