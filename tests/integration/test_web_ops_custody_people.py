"""The pages about people and devices: users, keys, AE titles and links, changed and on record."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from e2e.house import House, house
from integration.custody_site import imported
from integration.share_house import SHARED, instance_file
from integration.test_web_ops_custody import browser, deeds, recorded, sent
from pacs_cloud.bootstrap.accounts import api_keys_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.identity.devices import DeviceService, read_device
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Grant, Role
from web_site import OTHER as OTHER_WORDS
from web_site import Browser, hidden, visible

USERS, TITLE = "/ops/users", "/ops/ae-titles/one"
DAY_US = 86_400_000_000
ODD = "o.brien+x@b|c"


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as one:
        yield one


async def test_a_user_from_the_first_link_to_the_end(made: House) -> None:
    path = f"{USERS}/{quote(ODD, safe='')}"
    async with browser(made, "anna") as anna:
        refused = await sent(anna, USERS, name=ODD, display="Óscar")
        assert refused.status_code == 422
        assert "Say what they may" in visible(refused.text)
        assert "Óscar" in refused.text
        fields = {"name": ODD, "display": "Óscar", "role-auditor": "1", "rules": "referrer;study=1"}
        shown = await sent(anna, USERS, **fields)
        link = shown.text.partition('class="secret">')[2].partition("<")[0]
        assert link.startswith(f"{made.url}/welcome#")
        assert (await sent(anna, USERS, **fields)).status_code == 409
        assert "#" not in (await anna.get(path)).text.partition("<main")[2].partition("welcome")[2]
        assert "invited" in (await anna.get(path)).text
        await made.accounts.redeem(link.partition("#")[2], OTHER_WORDS)

        look = await sent(anna, path, do="preview", **{"role-ops": "1"})
        assert "Then they may" in visible(look.text)
        assert "Operations" in visible(look.text)
        assert {one.name: one for one in await made.accounts.users()}[ODD].grants[0] == Grant(
            Role.AUDITOR
        )
        was = hidden(look.text)["changed"]
        await made.accounts.change(ODD, display_name="Ó", email="", by="another")
        late = await sent(anna, path, do="grants", changed=was, **{"role-ops": "1"})
        assert late.status_code == 409
        assert "meanwhile" in visible(late.text)
        was = hidden(late.text)["changed"]
        saved = await sent(anna, path, do="grants", changed=was, **{"role-ops": "1"})
        assert "Before: auditor referrer;study=1" in visible(saved.text)
        async with Browser(made.url) as oscar:
            assert (await oscar.sign_in(ODD, OTHER_WORDS)).status_code == 303
            assert (await oscar.get("/ops/integrity")).status_code == 200
            out = await sent(anna, path, do="disable")
            assert "kept out" in visible(out.text)
            assert "Let them in again" in out.text
        async with Browser(made.url) as oscar:
            assert (await oscar.sign_in(ODD, OTHER_WORDS)).status_code != 303
        assert (await sent(anna, path, do="reset")).status_code == 409
        assert "may sign in" in visible((await sent(anna, path, do="enable")).text)
        renamed = await sent(anna, path, do="names", display="Oscar", email="o@example.org")
        assert "Oscar" in visible(renamed.text)
        again = await sent(anna, path, do="reset")
        assert "/welcome#" in again.text
        assert "End their sessions" in (await sent(anna, path, do="sign-out")).text
        assert (await sent(anna, path, do="nonsense")).status_code == 422
        assert (await sent(anna, path, do="remove", sure="somebody")).status_code == 422
        assert "is removed" in visible((await sent(anna, path, do="remove", sure=ODD)).text)
        assert (await anna.get(path)).status_code == 404
        last = await sent(anna, f"{USERS}/anna", do="disable")
        assert last.status_code == 409
        assert "last administrator" in visible(last.text)
    every = [(action, outcome) for _, action, outcome in await deeds(made)]
    actions = [action for action, outcome in every if outcome is Outcome.SUCCESS]
    assert actions[:5] == ["user add", "user add", "user grant", "user disable", "user reset"]
    assert ("user disable", Outcome.MINOR) in every
    granted = [event for event in await recorded(made) if event.action == "user grant"]
    assert dict(granted[0].details) == {"name": ODD, "grant": "ops"}
    assert granted[0].kind is Kind.ADMINISTER


async def test_a_key_of_somebody_is_revoked(made: House) -> None:
    keys = api_keys_of(made.settings, made.stores.objects)
    key, secret = await keys.create(
        [Grant(Role.DEVICE)], until_us=now_us() + DAY_US, note="the scanner", by="system:root"
    )
    async with browser(made, "anna") as anna:
        shown = visible((await anna.get("/ops/keys")).text)
        assert "the scanner" in shown
        assert "by system:root" in shown
        assert secret not in shown
        done = await sent(anna, "/ops/keys", key=key.key_id)
        assert "opens nothing any more" in visible(done.text)
        assert "the scanner" not in visible((await anna.get("/ops/keys")).text)
        assert "revoked" in visible((await anna.get("/ops/keys?all=1")).text)
        assert (await sent(anna, "/ops/keys", key="f" * 16)).status_code == 404
    fresh = api_keys_of(made.settings, made.stores.objects)
    assert await fresh.caller(secret, address="") is None
    assert [action for _, action, _ in await deeds(made)] == ["key revoke"] * 3


async def test_a_device_is_let_in_changed_and_forgotten(made: House) -> None:
    fields = {"title": "CT 1", "may-store": "1", "may-verify": "1", "to": "10.1.2.3:104"}

    async def known() -> str | None:
        state = await read_device(made.stores.objects, "default", "CT 1")
        return state.device.note if state.device else None

    async with browser(made, "anna") as anna:
        assert (await sent(anna, TITLE, do="remove", title="CT 1")).status_code == 404
        nothing = await sent(anna, TITLE, do="save", **fields)
        assert nothing.status_code == 422
        assert "an AE title proves nothing" in nothing.text.lower().replace("an ae", "an AE")
        assert "10.1.2.3:104" in nothing.text
        fields["from"] = "10.1.0.0/16"
        look = await sent(anna, TITLE, do="preview", **fields)
        assert "Then it may come in" in visible(look.text)
        assert await known() is None
        saved = await sent(anna, TITLE, do="save", **fields)
        assert "CT 1 may come in" in visible(saved.text)
        assert await known() == ""
        assert (await sent(anna, TITLE, do="save", **fields)).status_code == 409
        page = await anna.get(f"{TITLE}?title=CT%201")
        number = hidden(page.text)["number"]
        changed = {**fields, "number": number, "note": "moved", "may-store": ""}
        look = await sent(anna, TITLE, do="preview", **changed)
        assert "Note nothing moved" in visible(look.text)
        assert "Send instances (C-STORE) yes no" in visible(look.text)
        done = await sent(anna, TITLE, do="save", **changed)
        assert "Before: Note: nothing" in visible(done.text)
        state = await read_device(made.stores.objects, "default", "CT 1")
        assert state.device is not None
        assert state.device.services == {DeviceService.VERIFY}
        assert state.by == "user:anna"
        stale = await sent(anna, TITLE, do="save", **changed)
        assert stale.status_code == 409
        assert "Somebody has changed CT 1 meanwhile" in visible(stale.text)
        gone = {"title": "CT 1", "number": str(state.number)}
        assert "known no more" in visible((await sent(anna, TITLE, do="remove", **gone)).text)
        assert (await anna.get(f"{TITLE}?title=CT%201")).status_code == 404
    assert [action for _, action, _ in await deeds(made)] == [
        *("device add", "device change", "device remove"),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "only whoever is on this machine can associate"),
        ({"dimse_unknown": "refuse"}, "nobody can associate"),
        (
            {"dimse_unknown": "refuse", "no_auth": True},
            "only whoever is on this machine can associate",
        ),
    ],
)
async def test_who_can_associate_while_no_device_is_known(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    async with house(tmp_path, **given) as one, Browser(one.url) as anna:
        if "no_auth" not in given:
            await one.user("anna", Role.ADMIN)
            assert (await anna.sign_in("anna")).status_code == 303
        page = visible((await anna.get("/ops/ae-titles")).text)
        assert f"No device is known: {said}." in page


async def test_a_link_of_somebody_else_is_ended(made: House) -> None:
    await imported(made, instance_file(SHARED))
    async with browser(made, "rita", Grant(Role.RADIOLOGIST)) as rita:
        link = await sent(rita, "/shares", studies=SHARED, reason="a second opinion", days="7")
        assert link.status_code == 200, visible(link.text)
    async with browser(made, "anna") as anna:
        page = await anna.get("/ops/shares")
        assert "Made by user:rita" in visible(page.text)
        assert "never opened" in page.text
        assert f'href="/studies/{SHARED}"' in page.text
        assert "a second opinion" in (await anna.get("/ops/shares?q=rita")).text
        assert "a second opinion" not in (await anna.get("/ops/shares?q=nobody")).text
        share = hidden(page.text)["share"]
        done = await sent(anna, "/ops/shares", share=share)
        assert "The link is ended" in visible(done.text)
        assert "a second opinion" not in (await anna.get("/ops/shares")).text
        assert "Ended" in visible((await anna.get("/ops/shares?which=over")).text)
    shares = [event for event in await recorded(made) if event.kind is Kind.SHARE]
    assert [event.subject for event in shares] == ["user:anna", "user:rita"]
