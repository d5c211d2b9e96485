"""Every HTTP route that shows, over a sensitive study: as if it were not there, but for who is named.

What each caller gets is what the other matrix expects of one who may do it elsewhere only.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from integration.dicomweb_archive import served
from integration.test_access_matrix import (
    CALLERS,
    ELSEWHERE,
    HERE,
    STUDY,
    WANTED,
    Door,
    _judge,
    instance_file,
)
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.custody.labels import change_labels
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.labels import SENSITIVE
from pacs_cloud.security.rules import StudyRule

RADIOLOGIST, CLINICIAN = Grant(Role.RADIOLOGIST), Grant(Role.CLINICIAN, (ELSEWHERE,))
NAMED = Grant(Role.RADIOLOGIST, (StudyRule(labels=frozenset({"vip"})),))
SEEING = frozenset({Action.SEARCH, Action.READ})
OPENED = frozenset({STUDY})


def of(*grants: Grant) -> Caller:
    return Caller("default", "user:x", grants)


def elsewhere(caller: Caller) -> Caller:
    """Return who sees as much of a study as this one does of a sensitive one."""
    grants = (
        one if one.role is Role.ADMIN else replace(one, rules=(ELSEWHERE,)) for one in caller.grants
    )
    return replace(caller, grants=tuple(grants))


BLIND = (
    *("radiologist", "clinician", "technologist", "device", "only-looks", "two-roles"),
    *("radiologist-here", "referrer-here", "guest-here", "technologist-here", "device-here"),
)
ASKING: Mapping[str, tuple[Caller, Caller]] = {
    **{name: (caller, elsewhere(caller)) for name in BLIND if (caller := CALLERS[name])},
    "admin": (of(Grant(Role.ADMIN)), of(Grant(Role.ADMIN))),
    "admin-here": (of(Grant(Role.ADMIN, (HERE,))), of(Grant(Role.ADMIN, (HERE,)))),
    "named": (of(NAMED), of(RADIOLOGIST)),
    "broken-glass": (
        access.with_broken_glass(of(RADIOLOGIST), OPENED, SENSITIVE),
        of(replace(RADIOLOGIST, rules=(ELSEWHERE,)), replace(RADIOLOGIST, actions=SEEING)),
    ),
    "broken-glass-bounded": (
        access.with_broken_glass(of(CLINICIAN), OPENED, SENSITIVE),
        of(CLINICIAN, Grant(Role.CLINICIAN, None, SEEING)),
    ),
    "broken-glass-of-another": (
        access.with_broken_glass(of(RADIOLOGIST), frozenset({"9.9"}), SENSITIVE),
        elsewhere(of(RADIOLOGIST)),
    ),
    "glass-without-the-right": (
        access.with_broken_glass(of(Grant(Role.TECHNOLOGIST)), OPENED, SENSITIVE),
        elsewhere(of(Grant(Role.TECHNOLOGIST))),
    ),
}
"""Who asks, and whom the other matrix expects the same of, had the study no label."""


async def identify(scope: Mapping[str, Any]) -> Caller | None:
    who = dict(scope["headers"]).get(b"x-who", b"").decode()
    return ASKING[who][0] if who in ASKING else of(Grant(Role.ADMIN))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Door]:
    async with served(folder, identify=identify) as archive:
        door = Door(archive, instance_file())
        assert (await door.ask("", "POST", "/dicom-web/studies")).status_code == 200
        await change_labels(
            *(archive.objects, archive.catalogue, "default", STUDY, ("vip",)),
            is_added=True,
            reason="",
            who="",
            now_us=now_us(),
        )
        yield door


async def test_a_sensitive_study_is_shown_by_no_route_to_who_is_not_named(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        for who, (_, expected) in ASKING.items():
            for (method, path), wanted in WANTED.items():
                if method == "GET":
                    answer = await door.ask(who, method, path)
                    _judge(expected, wanted, answer, f"{who} {method} {path}")


@pytest.mark.parametrize("who", ["technologist", "technologist-here", "broken-glass"])
async def test_nor_is_it_deleted(tmp_path: Path, who: str) -> None:
    async with opened(tmp_path) as door:
        for (method, path), wanted in WANTED.items():
            if method == "DELETE":
                answer = await door.ask(who, method, path)
                _judge(ASKING[who][1], wanted, answer, f"{who} {method} {path}")
        assert (
            await door.ask("", "GET", f"/dicom-web/studies/{STUDY}/metadata")
        ).status_code == 200


@pytest.mark.parametrize("who", ["radiologist", "technologist", "radiologist-here"])
async def test_what_is_said_of_it_is_what_is_said_of_none(tmp_path: Path, who: str) -> None:
    async with opened(tmp_path) as door:
        for method, path in WANTED:
            if method not in {"GET", "DELETE"} or "{study}" not in path:
                continue
            of_it = await door.ask(who, method, path)
            of_none = await door.ask(who, method, path.replace("{study}", "9.9"))
            said = [(one.status_code, one.content) for one in (of_it, of_none)]
            assert said[0] == said[1], f"{method} {path}"
