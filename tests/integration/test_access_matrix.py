"""Every HTTP route by every kind of caller: nobody gets what access does not give them.

A route that is served and not listed here fails the test: whoever adds one says whom it is for.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from integration.dicomweb_archive import BOUNDARY, Running, multipart, served
from pacs_cloud.dicomweb.app import create_app
from pacs_cloud.dicomweb.served import served as operations_of
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule

STUDY, SERIES, INSTANCE = "1.2.826.0.1.77", "1.2.826.0.1.77.1", "1.2.826.0.1.77.1.1"
SECRETS = ("SECRET^NAME", "SECRET-ID", "SECRET DESCRIPTION")
BASE = "/dicom-web"
_BELOW = f"{BASE}/studies/{{study}}"
_SERIES = f"{_BELOW}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_FRAMES = f"{_INSTANCE}/frames/{{frames}}"
ANYBODY = "anybody"

WANTED: Mapping[tuple[str, str], Action | str] = {
    ("GET", "/healthz"): ANYBODY,
    ("GET", "/readyz"): ANYBODY,
    ("GET", "/openapi.json"): ANYBODY,
    ("GET", f"{BASE}/"): ANYBODY,
    ("OPTIONS", f"{BASE}/"): ANYBODY,
    ("GET", "/wado"): Action.READ,
    ("GET", f"{BASE}/wado"): Action.READ,
    ("GET", f"{BASE}/studies"): Action.SEARCH,
    ("GET", f"{BASE}/series"): Action.SEARCH,
    ("GET", f"{BASE}/instances"): Action.SEARCH,
    ("GET", f"{_BELOW}/series"): Action.SEARCH,
    ("GET", f"{_BELOW}/instances"): Action.SEARCH,
    ("GET", f"{_SERIES}/instances"): Action.SEARCH,
    ("POST", f"{BASE}/studies"): Action.STORE,
    ("POST", _BELOW): Action.STORE,
    ("GET", _FRAMES): Action.READ,
    ("GET", f"{_FRAMES}/rendered"): Action.READ,
    ("GET", f"{_FRAMES}/thumbnail"): Action.READ,
    ("GET", f"{_INSTANCE}/bulkdata/{{path}}"): Action.READ,
    **{
        ("GET", level + end): Action.READ
        for level in (_BELOW, _SERIES, _INSTANCE)
        for end in ("/metadata", "/rendered", "/thumbnail", "/bulkdata", "/pixeldata")
    },
    **{("GET", level): Action.DOWNLOAD for level in (_BELOW, _SERIES, _INSTANCE)},
    **{("DELETE", level): Action.DELETE for level in (_BELOW, _SERIES, _INSTANCE)},
}
"""Every route, and what whoever asks for it must be allowed; ANYBODY: nothing."""

HERE, ELSEWHERE = StudyRule(studies=frozenset({STUDY})), StudyRule(studies=frozenset({"9.9"}))


def callers() -> dict[str, Caller | None]:
    made: dict[str, Caller | None] = {
        "nobody": None,
        "no-role": Caller("default", "user:x", ()),
        "other-tenant": Caller("other", "user:x", (Grant(Role.ADMIN),)),
        "two-roles": Caller(
            "default", "user:x", (Grant(Role.AUDITOR), Grant(Role.CLINICIAN, (ELSEWHERE,)))
        ),
    }
    looks = frozenset({Action.SEARCH, Action.READ})
    made["only-looks"] = Caller("default", "user:x", (Grant(Role.RADIOLOGIST, None, looks),))
    # What somebody may with one study is nothing that they may with another that they see.
    made["more-elsewhere"] = Caller(
        "default",
        "user:x",
        (Grant(Role.TECHNOLOGIST, (ELSEWHERE,)), Grant(Role.CLINICIAN, (HERE,), looks)),
    )
    for role in Role:
        made[f"{role}"] = Caller("default", "user:x", (Grant(role),))
        made[f"{role}-here"] = Caller("default", "user:x", (Grant(role, (ELSEWHERE, HERE)),))
        made[f"{role}-elsewhere"] = Caller("default", "user:x", (Grant(role, (ELSEWHERE,)),))
    return made


CALLERS = callers()


async def identify(scope: Mapping[str, Any]) -> Caller | None:
    """Take a name in a header for who asks: how somebody becomes a caller is tested elsewhere."""
    return CALLERS[dict(scope["headers"]).get(b"x-who", b"nobody").decode()]


def instance_file() -> bytes:
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientName, dataset.PatientID, dataset.StudyDescription = SECRETS
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = INSTANCE
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


@dataclass(frozen=True)
class Door:
    """An archive with one study of one tenant, asked over HTTP."""

    archive: Running
    file: bytes

    async def ask(self, who: str, method: str, path: str) -> httpx.Response:
        filled = path.format(
            study=STUDY, series=SERIES, instance=INSTANCE, frames="1", path="7FE00010"
        )
        if path.endswith("/wado"):
            uids = f"studyUID={STUDY}&seriesUID={SERIES}&objectUID={INSTANCE}"
            filled += f"?requestType=WADO&{uids}"
        request = self.archive.client.build_request(
            method,
            self.archive.url.removesuffix(BASE) + filled,
            headers={"x-who": who},
            content=multipart(self.file) if method == "POST" else None,
        )
        if method == "POST":
            kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
            request.headers["content-type"] = kind
        return await self.archive.client.send(request)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Door]:
    async with served(folder, identify=identify) as archive:
        door = Door(archive, instance_file())
        assert (await door.ask("admin", "POST", f"{BASE}/studies")).status_code == 200
        yield door


def test_every_route_is_listed() -> None:
    class Nothing:
        def __getattr__(self, name: str) -> "Nothing":
            return self

        def __call__(self, *_: object, **__: object) -> "Nothing":
            return self

    app: Any = create_app(Nothing())
    there = {(one.method, one.path) for one in operations_of(app._app.routes)}
    assert there == set(WANTED)


async def test_nobody_reads_more_than_access_gives_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        for who, caller in CALLERS.items():
            for (listed, path), wanted in WANTED.items():
                for method in (listed, "HEAD") if listed == "GET" else (listed,):
                    if method not in _CHANGING:
                        case = f"{who} {method} {path}"
                        _judge(caller, wanted, await door.ask(who, method, path), case)


async def test_nobody_changes_more_than_access_gives_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        for who, caller in CALLERS.items():
            for (method, path), wanted in WANTED.items():
                if method == "DELETE":
                    case = f"{who} {method} {path}"
                    _judge(caller, wanted, await door.ask(who, method, path), case)
            may_delete = caller is not None and _may(caller, Action.DELETE)
            kept = await door.ask("admin", "GET", f"{_BELOW}/metadata")
            assert kept.status_code == (410 if may_delete else 200), who
            for method, path in WANTED:
                if method == "POST":
                    answer = await door.ask(who, method, path)
                    status = _status_of_storing(caller, to_study=path == _BELOW)
                    assert answer.status_code == status, (who, path)
            restored = await door.ask("admin", "POST", f"{BASE}/studies")
            assert restored.status_code == 200


def _judge(caller: Caller | None, wanted: Action | str, answer: httpx.Response, case: str) -> None:
    status = answer.status_code
    if wanted == ANYBODY:
        assert status == 200, case
    elif caller is None:
        assert status == 401, case
        assert answer.headers["www-authenticate"].startswith("Bearer"), case
    elif not access.may(caller, Action(wanted)):
        assert status == 403, case
    elif not _may(caller, Action(wanted)):
        assert status == (204 if wanted is Action.SEARCH else 404), case
    else:
        # Of three levels that are deleted one below the other the second is gone.
        assert status in ({200, 206} if wanted is not Action.DELETE else {204, 410}), case
        return
    _tells_nothing(answer)
    assert wanted == ANYBODY or "etag" not in answer.headers, case


def _status_of_storing(caller: Caller | None, *, to_study: bool) -> int:
    """Return the answer to an instance of the study, sent to it by name or not."""
    if caller is None:
        return 401
    if not access.may(caller, Action.STORE):
        return 403
    if not access.is_bounded(caller, Action.STORE):
        return 200
    if not to_study:
        return 403
    return 200 if _may(caller, Action.STORE) else 404


def _may(caller: Caller, action: Action) -> bool:
    """Say, in words of this test's own, whether somebody may do it with the study."""
    return caller.tenant == "default" and any(
        action in access.ALLOWED[grant.role]
        and (grant.actions is None or action in grant.actions)
        and (HERE in grant.rules if grant.rules is not None else grant.role not in _NEED_RULES)
        for grant in caller.grants
    )


_CHANGING = {"DELETE", "POST"}
_NEED_RULES = {Role.REFERRER, Role.RESEARCHER, Role.GUEST}


def _tells_nothing(answer: httpx.Response) -> None:
    said = answer.content + repr(sorted(answer.headers.items())).encode()
    for secret in (*SECRETS, *SECRETS[0].split("^")):
        assert secret.encode() not in said


@pytest.mark.parametrize("who", ["nobody", "no-role", "clinician-elsewhere", "other-tenant"])
async def test_methods_and_paths_that_are_not_served_tell_nothing(tmp_path: Path, who: str) -> None:
    async with opened(tmp_path) as door:
        for method, path in (
            ("HEAD", _BELOW),
            ("HEAD", f"{_INSTANCE}/metadata"),
            ("PUT", _BELOW),
            ("PATCH", f"{BASE}/studies"),
            ("GET", f"{BASE}//studies/{{study}}"),
            ("GET", f"{BASE}/studies/{{study}}/"),
            ("GET", f"/openapi.json/..{BASE}/studies"),
            ("GET", f"{BASE}/./studies"),
            ("GET", f"{BASE}/studies/{{study}}/metadata?who=admin"),
        ):
            answer = await door.ask(who, method, path)
            assert answer.status_code in {204, 400, 401, 403, 404, 405}, (method, path)
            assert answer.status_code != 204 or who == "other-tenant" or path.endswith("studies")
            _tells_nothing(answer)
