"""Which addresses a provider may send us to, and which documents are its own."""

from typing import Any

import pytest

from pacs_cloud.errors import Unavailable
from pacs_cloud.identity.oidc_discovery import read_metadata
from pacs_cloud.identity.oidc_http import is_trusted_url

ISSUER = "https://login.example/realm"
LOCAL = "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("url", "issuer"),
    [
        ("https://login.example/keys", ISSUER),
        ("https://login.example:8443/keys", ISSUER),
        ("https://keys.cdn.example/keys?v=1", ISSUER),
        ("https://10.1.2.3/keys", "https://10.1.2.3"),
        ("https://[fd00::1]/keys", "https://[fd00::1]"),
        ("http://127.0.0.1:9000/keys", LOCAL),
        ("http://localhost:9000/keys", "http://localhost:9000"),
        ("https://keys.example/", LOCAL),
    ],
)
def test_an_address_over_https_is_trusted(url: str, issuer: str) -> None:
    assert is_trusted_url(url, issuer)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example/keys",
        "http://127.0.0.1/keys",
        "https://127.0.0.1/keys",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/latest",
        "https://[::ffff:169.254.169.254]/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://0251.0376.0251.0376/",
        "https://127.1/",
        "https://169.254.169.%32%35%34/",
        "https://%6cogin.example/",
        "https://login.example;.evil.example/",
        "https://127.0.0.1./",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://user@keys.example/",
        "https://user:secret@keys.example/",
        "https://login.example@evil.example/",
        "https://evil.example\\@login.example/",
        "https://keys.example/#x",
        "https://keys.example/ x",
        "https://keys.example/\r\nHost: x",
        "https://ключи.example/",
        "https://keys.example:x/",
        "https://keys.example:99999/",
        "https://[::1/",
        "https:///keys",
        "https://./keys",
        "ftp://login.example/keys",
        "file:///etc/passwd",
        "data:application/json,{}",
        "//login.example/keys",
        "/keys",
        "",
    ],
)
def test_any_other_address_is_not(url: str) -> None:
    assert not is_trusted_url(url, ISSUER)


def test_a_provider_elsewhere_may_not_point_at_this_machine() -> None:
    assert not is_trusted_url("http://127.0.0.1:9000/keys", ISSUER)
    assert not is_trusted_url("http://localhost:9000/keys", LOCAL)


def document(**changes: Any) -> dict[str, Any]:
    return {
        "issuer": ISSUER,
        "jwks_uri": "https://login.example/keys",
        "authorization_endpoint": "https://login.example/auth",
        "token_endpoint": "https://login.example/token",
    } | changes


def test_a_documents_missing_parts_have_their_standard_meaning() -> None:
    metadata = read_metadata(document(userinfo_endpoint=None, other=7), ISSUER)
    assert metadata.userinfo_endpoint == ""
    assert metadata.token_endpoint_auth_methods_supported == ["client_secret_basic"]
    assert not metadata.authorization_response_iss_parameter_supported


@pytest.mark.parametrize(
    "issuer",
    [
        ISSUER + "/",
        "https://login.example",
        "https://LOGIN.example/realm",
        "http://login.example/realm",
        "https://login.example/{tenantid}",
        "",
    ],
)
def test_a_document_of_another_issuer_is_refused(issuer: str) -> None:
    with pytest.raises(Unavailable, match="another issuer"):
        read_metadata(document(issuer=issuer), ISSUER)


@pytest.mark.parametrize(
    "changes",
    [
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"issuer": [ISSUER]},
        {"response_types_supported": "code"},
        {"authorization_response_iss_parameter_supported": "false"},
    ],
)
def test_a_malformed_document_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="malformed"):
        read_metadata(document(**changes), ISSUER)


@pytest.mark.parametrize(
    "name",
    [
        "jwks_uri",
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "end_session_endpoint",
    ],
)
@pytest.mark.parametrize("url", ["http://login.example/x", "https://169.254.169.254/x", "x"])
def test_a_document_that_points_elsewhere_is_refused(name: str, url: str) -> None:
    with pytest.raises(Unavailable, match="not trusted"):
        read_metadata(document(**{name: url}), ISSUER)
