"""Where DICOM may be listened on, and what has to guard it there."""

from pathlib import Path

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings, load_settings

BEYOND = "0.0.0.0:11112"
FILES = {"dimse_tls_certificate": "pacs.pem", "dimse_tls_ca": "devices.pem"}


@pytest.mark.parametrize(
    "flags",
    [
        {"dimse": BEYOND, "dimse_unknown": "refuse"},
        {"dimse_tls": BEYOND, **FILES},
        {"dimse_tls": BEYOND, "dimse_tls_clients": "wanted", "dimse_unknown": "refuse", **FILES},
        {"dimse_tls": "[::]:2762", "dimse_plain": False, "dimse": BEYOND, **FILES},
        {"dimse_tls": "127.0.0.1:0", "dimse_tls_clients": "none", "dimse_tls_certificate": "x"},
        {"dimse_tls": "localhost:0", "no_auth": True, **FILES},
    ],
)
def test_what_is_guarded_is_served(flags: dict[str, object]) -> None:
    settings = load_settings(flags)
    assert Settings.from_child_json(settings.child_json()) == settings


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"dimse": BEYOND}, "dimse_unknown=refuse"),
        ({"dimse": "pacs.example.org:104"}, "dimse_unknown=refuse"),
        ({"dimse": BEYOND, "dimse_unknown": "refuse", "no_auth": True}, "no_auth"),
        ({"dimse_tls": BEYOND, "no_auth": True, **FILES}, "no_auth"),
        ({"dimse_tls": BEYOND, "dimse_tls_clients": "wanted", **FILES}, "dimse_unknown=refuse"),
        ({"dimse_tls": BEYOND, "dimse_tls_clients": "none", **FILES}, "dimse_unknown=refuse"),
        ({"dimse_tls": BEYOND, "dimse": BEYOND, **FILES}, "dimse: refusing"),
        ({"dimse_tls": "127.0.0.1:0"}, "dimse_tls_certificate"),
        ({"dimse_tls": "127.0.0.1:0", "dimse_tls_certificate": "x"}, "dimse_tls_ca"),
        ({"dimse_plain": False}, "dimse_tls"),
        ({"dimse_tls_clients": "maybe"}, "dimse_tls_clients"),
        ({"dimse_unknown": "accept"}, "dimse_unknown"),
        ({"dimse_tenants": "SOUTH"}, "dimse_tenants"),
        ({"dimse_tenants": {"SOUTH": "../x"}}, "dimse_tenants"),
        ({"dimse_tenants": {"S" * 17: "south"}}, "dimse_tenants"),
    ],
)
def test_what_is_not_guarded_is_refused_in_one_line(flags: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_settings(flags)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tenants_by_title_from_every_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pacs.toml").write_text('[dimse_tenants]\nSOUTH = "south"\n"EAST 1" = "east"\n')
    both = {"SOUTH": "south", "EAST 1": "east"}
    assert load_settings().dimse_tenants == both
    for text in ("SOUTH=south, EAST 1=east", '{"SOUTH": "south", "EAST 1": "east"}'):
        monkeypatch.setenv("PACS_DIMSE_TENANTS", text)
        assert load_settings().dimse_tenants == both


def test_a_destination_over_tls() -> None:
    settings = load_settings(
        {"destinations": [{"aet": "WS", "host": "ws", "port": 2762, "tls": True}]}
    )
    (one,) = settings.destinations
    assert (one.tls, one.tls_name) == (True, "")
