"""What each process does with objects the template's policy of its role allows."""

import asyncio
import fnmatch
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from dimse_archive import CT, EXPLICIT, STUDY_FIND, STUDY_GET, identifier_of
from pynetdicom import build_context, build_role, evt
from test_dimse_doors import PASSWORD, accounts_with, archive, associated, device, instance, user

from infra.template import PATH
from integration.custody_site import GONE, lived_in
from integration.dicomweb_archive import BOUNDARY, multipart
from integration.share_house import SHARED, instance_file
from integration.test_http_tenants import House, house
from integration.test_web_ops_custody import browser, sent
from pacs_cloud.bootstrap.accounts import accounts_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.identity.devices import UserPolicy
from pacs_cloud.identity.shares import Shares
from pacs_cloud.identity.shares_record import share_path
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.security.caller import Grant, Role, system
from patience import PATIENCE_S
from web_site import GOOD, hidden, visible

NEEDS: Mapping[str, tuple[str, ...]] = {
    "put_new": ("s3:PutObject",),
    "put_file": ("s3:PutObject", "s3:AbortMultipartUpload"),
    "delete": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "retain": ("s3:PutObjectRetention",),
    "set_legal_hold": ("s3:PutObjectLegalHold",),
    "recall": ("s3:RestoreObject",),
}
"""What S3 asks for each way to change an object."""

Deeds = list[tuple[str, str]]


class _Loader(yaml.SafeLoader):
    """YAML in which a CloudFormation function is its argument."""


def _argument(loader: _Loader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


_Loader.add_multi_constructor("!", _argument)


def allowed(role: str) -> set[tuple[str, str]]:
    """Return which actions the policy of a role allows, on which keys, as patterns."""
    template = yaml.load(PATH.read_text(), _Loader)
    policy = template["Resources"][f"{role}Policy"]["Properties"]["PolicyDocument"]
    found: set[tuple[str, str]] = set()
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for resource in [resources] if isinstance(resources, str) else resources:
                found.add((action, resource.removeprefix("${Bucket.Arn}/")))
    return found


@pytest.fixture
def deeds(monkeypatch: pytest.MonkeyPatch) -> Deeds:
    """All that is done to objects, by method and key."""
    done: Deeds = []

    def noting(name: str) -> Callable[..., Awaitable[Any]]:
        really = getattr(LocalObjectStore, name)

        async def noted(self: LocalObjectStore, key: str, *given: Any, **more: Any) -> Any:
            done.append((name, key))
            return await really(self, key, *given, **more)

        return noted

    for name in NEEDS:
        monkeypatch.setattr(LocalObjectStore, name, noting(name))
    return done


def assert_allowed(deeds: Deeds, role: str, *trees: str, besides: str = "") -> None:
    """Fail where the role may not do what was done, or a tree was not written to."""
    policy = allowed(role) | (allowed(besides) if besides else set())
    for deed, key in deeds:
        for action in NEEDS[deed]:
            assert any(action == one and fnmatch.fnmatchcase(key, keys) for one, keys in policy), (
                f"{role} may not {action} {key}"
            )
    assert {key.partition("/")[0] for _, key in deeds} >= set(trees)


async def test_the_web_process(tmp_path: Path, deeds: Deeds) -> None:
    async with house(tmp_path, audit_durable="store") as archive:
        stores = archive.stores

        async def record(event: AuditEvent) -> None:
            del event

        shares = Shares(stores.objects, stores.catalogue, "north", now_us, record)
        made = await shares.create(system("north"), ShareWish((SHARED,), "help"), door="page")
        key = await archive.key("north", Role.ADMIN)
        accounts = accounts_of(archive.settings, stores.objects, "north")
        secret = await accounts.create("anna", (Grant(Role.RADIOLOGIST),))
        deeds.clear()
        await asked_all(
            archive, key, secret, *share_path(made.share.share_id, made.secret).split("#")
        )
    assert ("delete", "users/north") in {(one, key[: len("users/north")]) for one, key in deeds}
    assert_allowed(
        deeds,
        "Web",
        *("packs", "index", "trash", "access", "audit"),
        *("users", "keys", "tries", "sessions", "shares"),
    )


async def test_the_operations_pages(tmp_path: Path, deeds: Deeds) -> None:
    merge = {"source": "ID-82", "target": "ID-81", "reason": "one person"}
    device = {"title": "CT1", "from": "10.1.0.0/16", "may-store": "1"}
    async with lived_in(tmp_path) as made, browser(made, "anna") as anna:
        deeds.clear()
        look = await sent(anna, "/ops/corrections/merge", do="preview", **merge)
        mark = hidden(look.text)["mark"]
        done = await sent(anna, "/ops/corrections/merge", do="apply", mark=mark, **merge)
        path = done.headers["location"].partition("#")[0]
        mark = hidden((await anna.get(path)).text)["mark"]
        undone = await sent(anna, path, reason="two", mark=mark)
        assert "Taken back" in visible(undone.text)
        assert (await sent(anna, "/ops/trash", study=GONE)).status_code == 200
        for do in ("begin", "stop"):
            changed = await sent(anna, "/ops/integrity", do=do, kind="archive")
            assert changed.status_code == 303
        await sent(anna, "/ops/ae-titles/one", do="save", **device)
        page = await anna.get("/ops/ae-titles/one?title=CT1")
        device["number"] = hidden(page.text)["number"]
        gone = await sent(anna, "/ops/ae-titles/one", do="remove", **device)
        assert "known no more" in visible(gone.text)
        label = {"label": "teaching", "reason": "to teach", "change": "add"}
        assert (await sent(anna, f"/studies/{SHARED}/labels", **label)).status_code == 303
    assert_allowed(
        deeds,
        "Web",
        *("corrections", "correcting", "trash", "checks", "devices", "labels"),
        besides="Operations",
    )


async def asked_all(house: House, key: str, welcome: str, link: str, secret: str) -> None:
    """Ask for all that writes."""
    url = "https://north.example"
    origin = {"origin": url}
    async with house.client(url, headers={"authorization": f"Bearer {key}"}) as program:
        kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        stored = await program.post(
            "/dicom-web/studies",
            content=multipart(instance_file("1.2.3.9")),
            headers={"content-type": kind},
        )
        assert stored.status_code == 200
        study = f"/dicom-web/studies/{SHARED}"
        assert (await program.get(f"{study}/series")).status_code == 200
        thumbnail = await program.get(f"{study}/thumbnail", headers={"accept": "image/jpeg"})
        assert thumbnail.status_code == 200
        async with asyncio.timeout(PATIENCE_S):
            while (await program.delete("/dicom-web/studies/1.2.3.9")).status_code == 404:
                await asyncio.sleep(0.05)
    async with house.client(url, headers=origin) as browser:
        fields = {"secret": welcome, "password": GOOD, "again": GOOD}
        assert (await browser.post("/welcome", data=fields)).status_code == 303
        wrong = {"name": "anna", "password": "wrong"}
        assert (await browser.post("/sign-in", data=wrong)).status_code != 303
        entered = await browser.post("/sign-in", data={"name": "anna", "password": GOOD})
        assert entered.status_code == 303
    async with house.client(url, headers=origin) as guest:
        opened = await guest.post(link, data={"secret": secret, "open": "1"})
        assert opened.status_code == 303
        assert (await guest.get(link)).status_code == 200


async def test_the_receiver(tmp_path: Path, deeds: Deeds) -> None:
    async with archive(
        tmp_path,
        device("WS1", user=UserPolicy.REQUIRE),
        device("CT1"),
        audit_durable="store",
    ) as running:
        await accounts_with(running, Grant(Role.RADIOLOGIST))
        deeds.clear()
        got: list[str] = []

        def talk() -> None:
            for passcode in ("wrong", PASSWORD):
                association = associated(running, "WS1", ext_neg=[user(2, passcode)])
                assert association.is_established == (passcode == PASSWORD)
                if association.is_established:
                    association.release()
            association = associated(running, "CT1", build_context(CT, EXPLICIT))
            assert association.send_c_store(instance()).Status == 0
            association.release()

        def get() -> None:
            association = associated(
                running,
                "CT1",
                *(build_context(CT, EXPLICIT), build_context(STUDY_GET), build_context(STUDY_FIND)),
                ext_neg=[build_role(CT, scu_role=True, scp_role=True)],
                evt_handlers=[
                    (evt.EVT_C_STORE, lambda event: got.append(event.dataset.SOPInstanceUID) or 0)
                ],
            )
            keys = identifier_of("STUDY", StudyInstanceUID="1.2.3")
            list(association.send_c_find(keys, STUDY_FIND))
            list(association.send_c_get(keys, STUDY_GET))
            association.release()

        await asyncio.to_thread(talk)
        async with asyncio.timeout(PATIENCE_S):
            while not got:
                await asyncio.to_thread(get)
    assert_allowed(deeds, "Receiver", "packs", "index", "access", "audit", "tries")
