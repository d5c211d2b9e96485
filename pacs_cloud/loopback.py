"""Which hosts are this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether nothing but this machine is behind a host: an address, or "localhost"."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
