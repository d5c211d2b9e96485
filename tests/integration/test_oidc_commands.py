"""`pacs-cloud oidc check` and `oidc whois` against a real provider."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from oidc_house import real_provider

import warm_start
from pacs_cloud.bootstrap.oidc import oidc_config_of, open_oidc
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings, load_settings
from pacs_cloud.web.oidc import CALLBACK
from servers.oidc_provider import API, OTHER_API, PACS, Provider

GRANTS = [
    {"claim": "realm_access.roles", "value": "pacs-radiologist", "role": "radiologist"},
    {
        "claim": "realm_access.roles",
        "value": "pacs-referrer",
        "role": "referrer",
        "rules": [{"institutions": {"claim": "hospital"}, "modalities": ["CT"]}],
        "actions": ["search"],
    },
]


async def run(
    folder: Path, issuer: str, *arguments: str, said: str = "", **more: str
) -> tuple[int, str, str]:
    """Return the command's exit code, output and errors."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PACS_")},
        "PACS_OIDC_ISSUER": issuer,
        "PACS_OIDC_CLIENT_ID": "pacs",
        "PACS_OIDC_CLIENT_SECRET": PACS["client_secret"],
        "PACS_OIDC_AUDIENCES": API,
        "PACS_OIDC_NAME": "login",
        "PACS_OIDC_GRANTS": json.dumps(GRANTS),
        "PACS_PUBLIC_URL": "https://pacs.example/archive",
        **more,
    }
    done = await asyncio.to_thread(
        warm_start.run, "oidc", *arguments, cwd=folder, env=environment, said=said
    )
    return done.returncode, done.stdout, done.stderr


async def told(provider: Provider, folder: Path, *arguments: str, **more: Any) -> dict[str, Any]:
    code, output, errors = await run(folder, provider.issuer, *arguments, "--json", **more)
    assert "Traceback" not in errors
    return {"exit": code, **json.loads(output)}


async def test_a_provider_is_tried_out(tmp_path: Path) -> None:
    async with real_provider(tmp_path) as provider:
        said = await told(provider, tmp_path, "check")
        assert said["exit"] == 0
        assert said["redirect_uri"] == "https://pacs.example/oidc/callback"
        assert (said["issuer"], said["grants"]) == (provider.issuer, 2)
        assert (said["sign_in"], said["bearer_tokens"]) == (True, True)
        assert len(said["keys"]) == 4
        code, output, errors = await run(tmp_path, provider.issuer, "check")
        assert code == 0
        assert "bearer tokens: yes" in output
        for text in (output, errors):
            assert PACS["client_secret"] not in text

        token = (await provider.app_tokens("rolf"))["access_token"]
        file = tmp_path / "token"
        file.write_text(token + "\n")
        said = await told(provider, tmp_path, "whois", str(file))
        assert said == {
            "exit": 0,
            "subject": "oidc:login:rolf",
            "tenant": "default",
            "grants": [
                {
                    "role": "referrer",
                    "studies": "institutions: Sacred Heart | St. Elsewhere, modalities: CT",
                    "actions": "search",
                }
            ],
        }
        nobody = (await provider.app_tokens("nina"))["access_token"]
        code, output, _ = await run(tmp_path, provider.issuer, "whois", "-", said=nobody)
        assert code == 0
        assert "they may do nothing" in output
        other = await provider.program_token(OTHER_API)
        said = await told(provider, tmp_path, "whois", "-", said=other)
        assert said == {"exit": 1, "refused": "for somebody else"}


async def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    async with real_provider(tmp_path) as provider:
        slash = provider.issuer + "/"
        for arguments, more, words in (
            (["check"], {"PACS_OIDC_ISSUER": slash}, "names another issuer"),
            (["check"], {"PACS_OIDC_ISSUER": "http://127.0.0.1:1"}, "cannot be reached"),
            (["check"], {"PACS_OIDC_ISSUER": ""}, "names no OpenID provider"),
            (["check"], {"PACS_OIDC_ISSUER": "http://login.example"}, "oidc_issuer"),
            (["check"], {"PACS_OIDC_GRANTS": "[{}]"}, "oidc_grants: 0.claim"),
            (["check"], {"PACS_OIDC_GRANTS": "[{"}, "not JSON"),
            (["check"], {"PACS_OIDC_USER_CLAIM": "a..b"}, "oidc_user_claim"),
            (["check"], {"PACS_OIDC_CA": "/nowhere"}, "oidc_ca"),
            (["whois", "nowhere"], {}, "token cannot be read"),
            (["whois", "-"], {"PACS_OIDC_AUDIENCES": ""}, "oidc_audiences"),
        ):
            code, output, errors = await run(tmp_path, provider.issuer, *arguments, **more)
            assert (code, output) == (2, ""), errors
            last = errors.splitlines()[-1]
            assert last.startswith("pacs-cloud: ")
            assert words in last
            assert "Traceback" not in errors


def test_the_address_to_register_is_that_of_the_page() -> None:
    config = oidc_config_of(Settings(oidc_issuer="https://login.example"))
    assert config is not None
    assert config.redirect_uri == f"http://127.0.0.1:8042{CALLBACK}"


async def test_no_issuer_is_no_provider() -> None:
    async with open_oidc(Settings(), [b"s" * 32]) as provider:
        assert provider is None


def test_a_table_is_checked_though_no_provider_is_named() -> None:
    with pytest.raises(InvalidRequest, match="oidc_grants"):
        oidc_config_of(Settings(oidc_grants=({"claim": "x"},)))


class TestSettings:
    def test_in_toml(self, tmp_path: Path) -> None:
        file = tmp_path / "pacs.toml"
        file.write_text(
            """
            oidc_issuer = "https://login.example/realms/hospital"
            oidc_client_id = "pacs"
            oidc_audiences = ["pacs-api"]
            [[oidc_grants]]
            claim = ["https://hospital.example/roles"]
            value = "referrer"
            role = "referrer"
            rules = [{ referring_physicians = { claim = "dicom_name" } }]
            """
        )
        config = oidc_config_of(load_settings(config=file))
        assert config is not None
        assert config.redirect_uri == "http://127.0.0.1:8042/oidc/callback"
        assert config.grants[0].claim == ("https://hospital.example/roles",)
        assert config.audiences == {"pacs-api"}

    def test_a_secret_stands_in_no_file(self, tmp_path: Path) -> None:
        file = tmp_path / "pacs.toml"
        file.write_text('oidc_client_secret = "hush, hush"')
        with pytest.raises(InvalidRequest, match="PACS_OIDC_CLIENT_SECRET") as refusal:
            load_settings(config=file)
        assert "hush" not in str(refusal.value)

    def test_a_secret_is_told_to_children_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PACS_OIDC_CLIENT_SECRET", "hush, hush")
        settings = load_settings()
        assert "hush" not in repr(settings)
        assert "hush" not in settings.model_dump_json()
        child = Settings.from_child_json(settings.child_json())
        assert child.oidc_client_secret.get_secret_value() == "hush, hush"

    @pytest.mark.parametrize(
        "issuer",
        [
            "http://login.example",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "http://localhost.evil.example",
            "https://login.example?x",
            "https://login.example#x",
            "https://user@login.example",
            "login.example",
            "ftp://login.example",
            "https:// login.example",
        ],
    )
    def test_an_issuer_is_https_or_here(self, issuer: str) -> None:
        with pytest.raises(ValueError, match="oidc_issuer"):
            Settings(oidc_issuer=issuer)

    @pytest.mark.parametrize("algorithms", ["none", "HS256", "RS256,HS256", ""])
    def test_no_other_algorithm_can_be_set(self, algorithms: str) -> None:
        with pytest.raises(ValueError, match="oidc_algorithms"):
            Settings(oidc_algorithms=algorithms)  # pyright: ignore[reportArgumentType]
