"""Where HTTP may be served, and with what."""

from pathlib import Path

import pytest

from pacs_cloud.settings import Settings

PEM = Path("certificate.pem")


@pytest.mark.parametrize("address", ["0.0.0.0:8042", "[::]:8042", "192.0.2.1:443", "pacs.test:443"])
def test_beyond_loopback_addresses_http_is_served_over_tls_to_who_is_known(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(ValueError, match="without TLS"):
        Settings(data=tmp_path, http=address)
    with pytest.raises(ValueError, match="no_auth"):
        Settings(data=tmp_path, http=address, http_tls_certificate=PEM, no_auth=True)
    assert str(Settings(data=tmp_path, http=address, http_tls_certificate=PEM).http) == address


def test_on_loopback_addresses_it_may_be_plain(tmp_path: Path) -> None:
    assert Settings(data=tmp_path, http="[::1]:8042", no_auth=True).http_tls_certificate is None


def test_a_key_alone_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="http_tls_key needs http_tls_certificate"):
        Settings(data=tmp_path, http_tls_key=PEM)
