"""The account page and one-time links, over a real server."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.web.local_paths import welcome_path
from web_site import GOOD, OTHER, Browser, Site, hidden, site, visible


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as running:
        await running.user("anna", display_name="Anna Berg")
        yield running


@pytest.fixture
async def browser(pages: Site) -> AsyncIterator[Browser]:
    async with pages.browser() as one:
        await one.sign_in()
        yield one


class TestWhoAmI:
    async def test_it_says_who_and_what_they_may(self, pages: Site, browser: Browser) -> None:
        rules = (StudyRule(institutions=frozenset({"Praxis <Nord>"})),)
        await pages.accounts.set_grants(
            "anna", (Grant(Role.CLINICIAN), Grant(Role.REFERRER, rules))
        )
        text = visible((await browser.get("/account")).text)
        for part in ("Anna Berg", "anna", "default", "Clinician", "Referrer", "May find studies"):
            assert part in text
        assert "Only studies of Praxis <Nord>." in text

    async def test_nobody_with_no_role_is_told_what_to_do(
        self, pages: Site, browser: Browser
    ) -> None:
        await pages.accounts.set_grants("anna", ())
        assert "You have no role yet" in (await browser.get("/account")).text

    async def test_a_disabled_user_is_out_at_once(self, pages: Site, browser: Browser) -> None:
        await pages.accounts.disable("anna")
        assert not await browser.is_signed_in()


class TestPassword:
    async def change(self, browser: Browser, old: str, new: str) -> tuple[int, str]:
        answer = await browser.post("/account/password", {"old": old, "new": new}, csrf=True)
        return answer.status_code, visible(answer.text)

    async def test_it_changes_and_signs_others_out(self, pages: Site, browser: Browser) -> None:
        async with pages.browser() as other:
            await other.sign_in()
            assert (await self.change(browser, GOOD, OTHER))[0] == 303
            assert await browser.is_signed_in()
            assert not await other.is_signed_in()
            assert (await other.sign_in("anna", GOOD)).status_code == 403
            assert (await other.sign_in("anna", OTHER)).status_code == 303
        assert (Kind.ADMINISTER, "password", Outcome.SUCCESS) in [
            (one.kind, one.action, one.outcome) for one in pages.events
        ]

    async def test_the_old_one_is_needed(self, pages: Site, browser: Browser) -> None:
        status, text = await self.change(browser, OTHER, "another good password")
        assert status == 403
        assert "Your password is not right" in text
        assert pages.events[-1].outcome is Outcome.MINOR
        assert await browser.is_signed_in()

    @pytest.mark.parametrize("new", ["short", "password1234", GOOD, ""])
    async def test_a_poor_one_is_refused_with_the_reason(self, browser: Browser, new: str) -> None:
        status, text = await self.change(browser, GOOD, new)
        assert status == 422
        assert "Choose another password" in text

    async def test_it_takes_a_form_of_this_session(self, browser: Browser) -> None:
        answer = await browser.post("/account/password", {"old": GOOD, "new": OTHER})
        assert answer.status_code == 403
        assert (await browser.sign_in("anna", GOOD)).status_code == 303

    async def test_guessing_the_old_one_is_stopped(self, browser: Browser) -> None:
        statuses = [(await self.change(browser, f"guess {n}", OTHER))[0] for n in range(40)]
        assert statuses[0] == 403
        assert statuses[-1] == 429

    @pytest.mark.parametrize("path", ["/account/password", "/account/codes", "/account/keys"])
    async def test_whoever_is_locked_out_is_told_until_when(
        self, pages: Site, browser: Browser, path: str
    ) -> None:
        await pages.accounts.set_grants("anna", (Grant(Role.ADMIN),), even_last=True)
        wrong = {"old": "guess", "new": OTHER, "password": "guess"}
        form = {"csrf": await browser.csrf(), "label": "robot", "role": "device", "days": "7"}
        for _ in range(40):
            answer = await browser.post(path, {**form, **wrong})
            if answer.status_code == 429:
                break
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 3600
        assert "Too many tries" in visible(answer.text)


class TestCodes:
    async def begin(self, browser: Browser) -> pyotp.TOTP:
        page = await browser.post("/account/codes", {"password": GOOD}, csrf=True)
        assert page.status_code == 200, visible(page.text)
        uri = hidden(page.text)["uri"]
        assert urlsplit(uri).scheme == "otpauth"
        secret = parse_qs(urlsplit(uri).query)["secret"][0]
        assert secret in visible(page.text).replace(" ", "")
        assert re.search(r"<svg[^>]*viewBox", page.text)
        totp = pyotp.parse_uri(uri)
        assert isinstance(totp, pyotp.TOTP)
        return totp

    async def test_they_count_once_one_has_come_back(self, pages: Site, browser: Browser) -> None:
        totp = await self.begin(browser)
        async with pages.browser() as other:
            assert (await other.sign_in()).status_code == 303  # not yet
        page = await browser.post("/account/codes/confirm", {"code": pages.code(totp)}, csrf=True)
        recovery = re.findall(r'<li class="secret">([^<]+)</li>', page.text)
        assert len(recovery) == 10
        async with pages.browser() as other:
            asked = await other.sign_in()
            assert asked.status_code == 200
            form = {**hidden(asked.text), "code": recovery[3]}
            assert (await other.post("/sign-in", form)).status_code == 303
        assert "9 recovery codes are left" in visible((await browser.get("/account")).text)
        assert pages.events[-2].action == "codes on"

    async def test_a_wrong_code_leaves_them_off(self, pages: Site, browser: Browser) -> None:
        totp = await self.begin(browser)
        form = {"code": "000000", "uri": totp.provisioning_uri()}
        page = await browser.post("/account/codes/confirm", form, csrf=True)
        assert page.status_code == 403
        assert hidden(page.text)["uri"].startswith("otpauth://totp/")
        user = await pages.accounts.user("anna")
        assert user is not None
        assert not user.has_codes
        right = {"code": pages.code(totp)}
        page = await browser.post("/account/codes/confirm", right, csrf=True)
        assert page.status_code == 200

    @pytest.mark.parametrize("uri", ["javascript:alert(1)", "", "https://evil.example/"])
    async def test_no_other_link_comes_into_the_page(self, browser: Browser, uri: str) -> None:
        await self.begin(browser)
        form = {"code": "000000", "uri": uri}
        page = await browser.post("/account/codes/confirm", form, csrf=True)
        assert page.status_code == 400
        assert "evil" not in page.text
        assert "javascript:" not in page.text

    @pytest.mark.parametrize("path", ["/account/codes", "/account/codes/drop"])
    async def test_a_session_alone_changes_nothing(
        self, pages: Site, browser: Browser, path: str
    ) -> None:
        page = await browser.post(path, {"password": OTHER, "code": "123456"}, csrf=True)
        assert page.status_code == 403
        assert "Nothing was changed" in visible(page.text)

    async def test_they_go_off_with_password_and_code(self, pages: Site, browser: Browser) -> None:
        totp, _ = await pages.codes()
        without = await browser.post("/account/codes/drop", {"password": GOOD}, csrf=True)
        assert without.status_code == 403
        form = {"password": GOOD, "code": pages.code(totp)}
        done = await browser.post("/account/codes/drop", form, csrf=True)
        assert done.headers["location"] == "/account?done=codes-off#main"
        user = await pages.accounts.user("anna")
        assert user is not None
        assert not user.has_codes

    async def test_a_new_password_takes_the_code_as_well(
        self, pages: Site, browser: Browser
    ) -> None:
        totp, _ = await pages.codes()
        form = {"old": GOOD, "new": OTHER}
        for wrong in ({}, {"code": "000000"}):
            answer = await browser.post("/account/password", {**form, **wrong}, csrf=True)
            assert answer.status_code == 403
            assert 'id="password-code"' in answer.text
        form["code"] = pages.code(totp)
        assert (await browser.post("/account/password", form, csrf=True)).status_code == 303


class TestKeys:
    @pytest.fixture
    async def admin(self, pages: Site) -> AsyncIterator[Browser]:
        await pages.user("ada", Role.ADMIN)
        async with pages.browser() as one:
            await one.sign_in("ada")
            yield one

    async def make(self, browser: Browser, **fields: str) -> tuple[int, str]:
        form = {
            "label": "Nightly export",
            "role": "radiologist",
            "days": "30",
            "password": GOOD,
            **fields,
        }
        answer = await browser.post("/account/keys", form, csrf=True)
        return answer.status_code, answer.text

    async def test_one_is_shown_once_and_opens(self, pages: Site, admin: Browser) -> None:
        status, page = await self.make(admin)
        assert status == 200
        found = re.search(r"pacs_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", page)
        assert found is not None
        caller = await pages.services.keys.caller(found[0], address="")
        assert caller is not None
        assert caller.grants == (Grant(Role.RADIOLOGIST),)
        listed = (await admin.get("/account")).text
        assert "Nightly export" in listed
        assert found[0] not in listed
        assert "never used" not in visible(listed)
        assert pages.events[-1].details[0] == ("key", caller.subject.removeprefix("key:"))

    async def test_a_session_alone_makes_none(self, pages: Site, admin: Browser) -> None:
        for password in ("", OTHER):
            status, page = await self.make(admin, password=password)
            assert status == 403
            assert "Your password or your code is not right" in visible(page)
        totp, _ = await pages.codes("ada")
        assert (await self.make(admin))[0] == 403
        assert await pages.services.keys.list() == []
        assert pages.events[-1].outcome is Outcome.MINOR
        assert (await self.make(admin, code=pages.code(totp)))[0] == 200

    async def test_a_revoked_one_opens_nothing(self, pages: Site, admin: Browser) -> None:
        _, page = await self.make(admin)
        found = re.search(r"pacs_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", page)
        assert found is not None
        key_id = found[0].split("_")[1]
        done = await admin.post("/account/keys/revoke", {"key": key_id}, csrf=True)
        assert done.status_code == 303
        assert await pages.services.keys.caller(found[0], address="") is None
        assert "Nightly export" not in (await admin.get("/account")).text

    async def test_nobody_revokes_another_s(self, pages: Site, admin: Browser) -> None:
        await pages.user("otto", Role.ADMIN)
        _, page = await self.make(admin)
        found = re.search(r"pacs_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", page)
        assert found is not None
        async with pages.browser() as other:
            await other.sign_in("otto")
            assert "Nightly export" not in (await other.get("/account")).text
            key = {"key": found[0].split("_")[1]}
            answer = await other.post("/account/keys/revoke", key, csrf=True)
            assert answer.status_code == 404
        assert await pages.services.keys.caller(found[0], address="") is not None

    async def test_only_administrators_make_them(self, pages: Site, browser: Browser) -> None:
        assert "Make a key" not in (await browser.get("/account")).text
        assert (await self.make(browser))[0] == 403
        assert await pages.services.keys.list() == []
        rules = (StudyRule(institutions=frozenset({"Praxis"})),)
        await pages.accounts.set_grants("anna", (Grant(Role.ADMIN, rules),))
        assert (await self.make(browser))[0] == 403

    @pytest.mark.parametrize(
        "fields",
        [
            {"days": "0"}, {"days": "100000"}, {"days": "-7"}, {"days": "x"}, {"days": "²"},
            {"role": "guest"}, {"role": "referrer"}, {"role": "root"}, {"role": ""},
            {"label": ""}, {"label": "x" * 81}, {"label": "two\nlines"},
        ],
    )  # fmt: skip
    async def test_what_is_not_offered_is_refused(
        self, pages: Site, admin: Browser, fields: dict[str, str]
    ) -> None:
        assert (await self.make(admin, **fields))[0] == 400
        assert await pages.services.keys.list() == []

    async def test_it_takes_a_form_of_this_session(self, pages: Site, admin: Browser) -> None:
        form = {"label": "x", "role": "admin", "days": "30"}
        assert (await admin.post("/account/keys", form)).status_code == 403
        assert await pages.services.keys.list() == []


class TestWelcome:
    async def test_the_first_administrator_comes_in(self, tmp_path: Path) -> None:
        async with site(tmp_path) as pages, pages.browser() as browser:
            secret = await pages.accounts.first_link()
            assert secret is not None
            link = pages.url + welcome_path(secret)
            assert secret not in urlsplit(link).path + urlsplit(link).query
            page = await browser.post("/welcome", {"secret": link})  # pasted whole
            assert page.status_code == 200
            assert 'value="admin"' in page.text
            form = {"secret": hidden(page.text)["secret"], "password": GOOD}
            done = await browser.post("/welcome", form)
            assert (done.status_code, done.headers["location"]) == (303, "/account")
            assert "Administrator" in visible((await browser.get("/account")).text)
            assert (await browser.post("/welcome", form)).status_code == 403
            assert [(one.kind, one.subject, one.outcome) for one in pages.events] == [
                (Kind.LOGIN, "user:admin", Outcome.SUCCESS),
                (Kind.LOGIN, "user:?", Outcome.MINOR),
            ]

    async def test_a_poor_password_leaves_the_link(self, pages: Site) -> None:
        secret = await pages.accounts.create("bert", ())
        async with pages.browser() as browser:
            poor = await browser.post("/welcome", {"secret": secret, "password": "short"})
            assert poor.status_code == 422
            assert "Choose another password" in visible(poor.text)
            form = {"secret": hidden(poor.text)["secret"], "password": GOOD}
            assert (await browser.post("/welcome", form)).status_code == 303

    @pytest.mark.parametrize("secret", ["", "x", "0" * 32 + "-" + "A" * 43, "ü", "#"])
    async def test_what_is_no_link_opens_nothing(self, pages: Site, secret: str) -> None:
        async with pages.browser() as browser:
            for form in ({"secret": secret}, {"secret": secret, "password": GOOD}):
                answer = await browser.post("/welcome", form)
                assert answer.status_code == 403
                assert "This link cannot be used" in visible(answer.text)
                assert "set-cookie" not in answer.headers

    async def test_looking_uses_nothing_up(self, pages: Site) -> None:
        secret = await pages.accounts.create("bert", ())
        async with pages.browser() as browser:
            for _ in range(3):
                assert (await browser.get("/welcome")).status_code == 200
                assert (await browser.post("/welcome", {"secret": secret})).status_code == 200
            form = {"secret": secret, "password": GOOD}
            assert (await browser.post("/welcome", form)).status_code == 303

    async def test_whoever_has_codes_needs_one_all_the_same(self, pages: Site) -> None:
        await pages.codes()
        secret = await pages.accounts.reset("anna")
        async with pages.browser() as browser:
            done = await browser.post("/welcome", {"secret": secret, "password": OTHER})
            assert done.headers["location"] == "/sign-in?done=set"
            assert not await browser.is_signed_in()
            assert "Your password is set" in visible((await browser.get("/sign-in?done=set")).text)
            assert 'name="step"' in (await browser.sign_in("anna", OTHER)).text

    async def test_another_site_redeems_nothing(self, pages: Site) -> None:
        secret = await pages.accounts.create("bert", ())
        async with pages.browser() as browser:
            browser.origin = "https://evil.example"
            answer = await browser.post("/welcome", {"secret": secret, "password": GOOD})
            assert answer.status_code == 403
            browser.origin = pages.url
            answer = await browser.post("/welcome", {"secret": secret, "password": GOOD})
            assert answer.status_code == 303
