"""`oidc check` and `oidc whois`."""

import asyncio
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.oidc import oidc_config_of, open_oidc
from pacs_cloud.cli.output import print_json, print_rows, stderr, stdout
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.oidc_discovery import Metadata
from pacs_cloud.identity.oidc_jwt import TokenRefused
from pacs_cloud.identity.oidc_keys import VerifyingKey
from pacs_cloud.identity.oidc_people import Person
from pacs_cloud.security.caller import Grant
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.settings import Settings

BELIEVED, REFUSED = 0, 1
_KEYS: Final = ("key", "algorithms")
_GRANTS: Final = ("role", "studies", "actions")


def check(settings: Settings, *, as_json: bool) -> None:
    """Print what the provider says, and what has to be registered there.

    Raises:
        InvalidRequest: the settings name no provider, or mean nothing.
        Unavailable: it cannot be reached, or is another one; says why.
    """
    metadata, keys = asyncio.run(_ask(settings))
    config = oidc_config_of(settings)
    assert config is not None
    said = {
        "issuer": metadata.issuer,
        "redirect_uri": config.redirect_uri,
        "signed_out_uri": config.signed_out_uri,
        "sign_in": bool(config.client_id and metadata.authorization_endpoint),
        "bearer_tokens": bool(config.audiences),
        "subjects": f"oidc:{config.provider}:…",
        "grants": len(config.grants),
    }
    rows = [
        {"key": key.key_id, "algorithms": " ".join(sorted(key.algorithms & config.algorithms))}
        for key in keys
    ]
    if as_json:
        print_json({**said, "keys": rows})
        return
    for name, value in said.items():
        stdout.print(f"{name.replace('_', ' ')}: {_plain(value)}")
    print_rows(rows, _KEYS, as_json=False, empty="No key.")
    if not config.grants:
        stderr.print("oidc_grants is empty: whoever signs in may do nothing.")


def whois(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Print whose a token is; return the exit code: 0 believed, 1 refused.

    Raises:
        InvalidRequest: the settings name no provider, or the file cannot be read.
        Unavailable: the provider cannot be reached.
    """
    token = _read(file)
    try:
        person = asyncio.run(_explain(settings, token))
    except TokenRefused as refusal:
        if as_json:
            print_json({"refused": str(refusal.fault)})
        else:
            stdout.print(f"Refused: {refusal.fault}.")
        return REFUSED
    rows = list(map(_row, person.grants))
    if as_json:
        print_json({"subject": person.subject, "tenant": person.tenant, "grants": rows})
    else:
        stdout.print(f"{person.subject} of tenant {person.tenant}")
        print_rows(rows, _GRANTS, as_json=False, empty="No grant: they may do nothing.")
    return BELIEVED


@asynccontextmanager
async def _provider(settings: Settings) -> AsyncGenerator[OidcProvider]:
    # Nobody signs in here: what a browser would keep is signed with whatever there is.
    async with open_oidc(settings, [secrets.token_bytes(32)]) as provider:
        if provider is None:
            raise InvalidRequest("oidc_issuer names no OpenID provider")
        yield provider


async def _ask(settings: Settings) -> tuple[Metadata, Sequence[VerifyingKey]]:
    async with _provider(settings) as provider:
        return await provider.metadata(), await provider.keys()


async def _explain(settings: Settings, token: str) -> Person:
    if not settings.oidc_audiences:
        raise InvalidRequest("oidc_audiences is empty: no bearer token is accepted")
    async with _provider(settings) as provider:
        return await provider.explain(token)


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.readline().strip()
    try:
        return file.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise InvalidRequest("the token cannot be read") from error


def _row(grant: Grant) -> dict[str, str]:
    rules = "every one" if grant.rules is None else "; or ".join(map(_rule, grant.rules))
    actions = "all of the role's" if grant.actions is None else ", ".join(sorted(grant.actions))
    return {"role": str(grant.role), "studies": rules, "actions": actions}


def _rule(rule: StudyRule) -> str:
    said: Mapping[str, object] = {one.name: getattr(rule, one.name) for one in fields(rule)}
    return ", ".join(f"{name}: {_plain(value)}" for name, value in said.items() if value)


def _plain(value: object) -> str:
    if isinstance(value, frozenset):
        return " | ".join(sorted(map(str, value)))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
