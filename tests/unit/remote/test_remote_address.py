"""Where a key may be sent to."""

from pathlib import Path

import pytest

from pacs_cloud.errors import Denied, InvalidRequest, NotFound
from pacs_cloud.remote.address import dicomweb_url, remote_of
from pacs_cloud.settings import load_settings


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://pacs.example", "https://pacs.example/dicom-web"),
        ("https://pacs.example/", "https://pacs.example/dicom-web"),
        ("https://pacs.example:8443/a/b/", "https://pacs.example:8443/a/b"),
        ("http://127.0.0.1:8042", "http://127.0.0.1:8042/dicom-web"),
        ("http://[::1]:8042/x", "http://[::1]:8042/x"),
        ("http://localhost", "http://localhost/dicom-web"),
    ],
)
def test_a_url_leads_to_dicomweb(text: str, url: str) -> None:
    assert dicomweb_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "pacs.example",
        "http://pacs.example",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "ftp://pacs.example",
        "file:///etc",
        "https://",
        "https://me:secret@pacs.example",
        "https://@pacs.example",
        "https://pacs.example/?a=b",
        "https://pacs.example/#a",
        "https://pacs.example:99999",
        "https://[::1",
        "https://a\\b",
        "https://a b",
        "https://a\r\nx: y",
    ],
)
def test_anywhere_else_no_key_is_sent(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        dicomweb_url(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["a b", "a\r\nx: y", "ключ", "a" * 5000])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_API_KEY", key)
    with pytest.raises(InvalidRequest) as caught:
        remote_of(load_settings({"remote": "https://pacs.example"}))
    assert key not in str(caught.value)


def test_a_key_is_in_no_file_of_settings_no_text_and_no_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pacs.toml").write_text('api_key = "abc123xyz"')
    with pytest.raises(InvalidRequest, match="PACS_API_KEY"):
        load_settings()
    (tmp_path / "pacs.toml").unlink()
    monkeypatch.setenv("PACS_API_KEY", "abc123xyz")
    settings = load_settings({"remote": "https://pacs.example"})
    remote = remote_of(settings)
    assert remote.key == "abc123xyz"
    for text in (repr(settings), str(settings), settings.child_json(), repr(remote)):
        assert "abc123xyz" not in text


def test_a_keys_file_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "key"
    settings = load_settings({"remote": "https://pacs.example", "api_key_file": file})
    with pytest.raises(NotFound):
        remote_of(settings)
    file.write_text("abc\n")
    file.chmod(0o604)
    with pytest.raises(Denied):
        remote_of(settings)
    file.chmod(0o600)
    assert remote_of(settings).key == "abc"
    file.write_text("\n")
    with pytest.raises(InvalidRequest):
        remote_of(settings)
