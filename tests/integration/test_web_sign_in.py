"""Signing in and out of pages, over a real server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.web.cookies import session_cookie_of
from web_site import GOOD, OTHER, Browser, Site, hidden, site, visible


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as running:
        await running.user("anna")
        yield running


@pytest.fixture
async def browser(pages: Site) -> AsyncIterator[Browser]:
    async with pages.browser() as one:
        yield one


class TestPassword:
    async def test_the_right_one_opens_the_page_that_was_asked_for(self, browser: Browser) -> None:
        asked = await browser.get("/account?done=revoked")
        assert asked.status_code == 303
        assert asked.headers["location"] == "/sign-in?next=/account%3Fdone%3Drevoked"
        form = hidden((await browser.get(asked.headers["location"])).text)
        assert form["next"] == "/account?done=revoked"
        answer = await browser.sign_in(next=form["next"])
        assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=revoked")
        account = await browser.get("/account")
        assert account.status_code == 200
        assert "Radiologist" in visible(account.text)

    async def test_the_cookie_is_kept_from_scripts_and_other_sites(self, browser: Browser) -> None:
        cookie = (await browser.sign_in()).headers["set-cookie"]
        name, _, rest = cookie.partition("=")
        assert name == "pacs"  # without TLS, on this machine
        assert {part.strip().lower() for part in rest.split(";")[1:]} == {
            "httponly", "path=/", "samesite=lax",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "password"),
        [("anna", OTHER), ("nobody", GOOD), ("no name at all!", GOOD), ("", ""), ("anna", "")],
    )
    async def test_no_word_tells_who_there_is(
        self, browser: Browser, name: str, password: str
    ) -> None:
        answer = await browser.sign_in(name, password)
        assert answer.status_code == 403
        text = visible(answer.text)
        assert "Name or password is not right" in text
        other = await browser.sign_in("somebody-else", "whatever it may be")
        assert text == visible(other.text)
        assert "set-cookie" not in answer.headers
        assert not await browser.is_signed_in()

    async def test_a_disabled_user_is_told_the_same(self, pages: Site, browser: Browser) -> None:
        await pages.accounts.disable("anna")
        assert "Name or password is not right" in (await browser.sign_in()).text

    async def test_what_was_typed_as_a_password_is_not_shown_again(self, browser: Browser) -> None:
        assert "a secret of mine" not in (await browser.sign_in("anna", "a secret of mine")).text

    async def test_whoever_fails_too_often_has_to_wait(self, pages: Site, browser: Browser) -> None:
        for _ in range(40):
            answer = await browser.sign_in("anna", OTHER)
            if answer.status_code != 403:
                break
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert "Too many tries" in visible(answer.text)
        assert (await browser.sign_in("anna", GOOD)).status_code == 429
        assert pages.events[-1].outcome is Outcome.SERIOUS

    async def test_whoever_is_signed_in_goes_on(self, browser: Browser) -> None:
        await browser.sign_in()
        answer = await browser.get("/sign-in?next=/account/keys")
        assert (answer.status_code, answer.headers["location"]) == (303, "/account/keys")

    async def test_a_new_session_ends_the_one_before(self, browser: Browser) -> None:
        await browser.sign_in()
        before = browser.client.cookies["pacs"]
        await browser.sign_in()
        assert browser.client.cookies["pacs"] != before
        browser.client.cookies.set("pacs", before)
        browser.client.cookies.jar.clear()
        answer = await browser.get("/account", cookie=f"pacs={before}")
        assert answer.status_code == 303

    async def test_a_session_that_is_used_goes_on(self, pages: Site, browser: Browser) -> None:
        await browser.sign_in()
        for _ in range(5):
            pages.clock.go(20 * 60)
            assert await browser.is_signed_in()
        pages.clock.go(31 * 60)
        assert not await browser.is_signed_in()

    async def test_it_is_on_record(self, pages: Site, browser: Browser) -> None:
        await browser.sign_in("anna", OTHER)
        await browser.sign_in("hunter2 is my password")
        await browser.sign_in("Anna ")
        assert [(one.kind, one.subject, one.outcome) for one in pages.events] == [
            (Kind.LOGIN, "user:anna", Outcome.MINOR),
            (Kind.LOGIN, "user:?", Outcome.MINOR),
            (Kind.LOGIN, "user:anna", Outcome.SUCCESS),
        ]
        assert {one.address for one in pages.events} == {"127.0.0.1"}


class TestCode:
    async def test_it_is_asked_for_after_the_password(self, pages: Site, browser: Browser) -> None:
        totp, _ = await pages.codes()
        asked = await browser.sign_in(next="/account/keys")
        assert asked.status_code == 200
        assert GOOD not in asked.text
        form = hidden(asked.text)
        answer = await browser.post("/sign-in", {**form, "code": pages.code(totp)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/account/keys")
        assert await browser.is_signed_in()

    async def test_a_recovery_code_will_do_once(self, pages: Site, browser: Browser) -> None:
        _, recovery = await pages.codes()
        form = {**hidden((await browser.sign_in()).text), "code": recovery[0]}
        assert (await browser.post("/sign-in", form)).status_code == 303
        again = await browser.post("/sign-in", form)
        assert again.status_code == 403
        assert "This code was not accepted" in visible(again.text)

    async def test_a_wrong_one_is_asked_for_again(self, pages: Site, browser: Browser) -> None:
        totp, _ = await pages.codes()
        form = hidden((await browser.sign_in()).text)
        wrong = await browser.post("/sign-in", {**form, "code": "000000"})
        assert wrong.status_code == 403
        assert not await browser.is_signed_in()
        right = {**hidden(wrong.text), "code": pages.code(totp)}
        assert (await browser.post("/sign-in", right)).status_code == 303

    async def test_the_first_step_is_over_after_five_minutes(
        self, pages: Site, browser: Browser
    ) -> None:
        totp, _ = await pages.codes()
        form = hidden((await browser.sign_in()).text)
        pages.clock.go(301)
        late = await browser.post("/sign-in", {**form, "code": pages.code(totp)})
        assert late.status_code == 403
        assert "This took too long" in visible(late.text)
        assert not await browser.is_signed_in()

    @pytest.mark.parametrize("step", ["x", "gAAAAA" + "A" * 200, "ü"])
    async def test_a_first_step_that_is_made_up_is_none(
        self, pages: Site, browser: Browser, step: str
    ) -> None:
        totp, _ = await pages.codes()
        answer = await browser.post("/sign-in", {"step": step, "code": pages.code(totp)})
        assert answer.status_code == 403
        assert not await browser.is_signed_in()

    async def test_a_password_that_changed_meanwhile_ends_the_first_step(
        self, pages: Site, browser: Browser
    ) -> None:
        totp, recovery = await pages.codes()
        form = hidden((await browser.sign_in()).text)
        await pages.accounts.change_password("anna", GOOD, OTHER, recovery[0], address="")
        answer = await browser.post("/sign-in", {**form, "code": pages.code(totp)})
        assert answer.status_code == 403


class TestNext:
    @pytest.mark.parametrize(
        "path",
        [
            "https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example",
            "\\\\evil.example", "javascript:alert(1)", "account", "/sign-out", "/sign-in?next=/",
            "/" + "a" * 3000, "/\r\nSet-Cookie: a=b", "/ünicode", "/welcome", "/oidc/start",
        ],
    )  # fmt: skip
    async def test_no_link_leads_elsewhere(self, browser: Browser, path: str) -> None:
        form = await browser.client.get("/sign-in", params={"next": path})
        assert hidden(form.text)["next"] == "/account"
        answer = await browser.sign_in(next=path[:2048])
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")

    async def test_a_path_with_a_query_is_kept(self, browser: Browser) -> None:
        path = "/studies?PatientName=A%5EB&limit=5"
        form = await browser.client.get("/sign-in", params={"next": path})
        assert hidden(form.text)["next"] == path
        assert (await browser.sign_in(next=path)).headers["location"] == path


class TestOtherSites:
    @pytest.mark.parametrize(
        "headers",
        [
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:1"},
            {"origin": ""},
            {"origin": "http://["},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site", "origin": "ours"},
            {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
            {},
        ],
    )
    async def test_their_forms_sign_nobody_in(
        self, browser: Browser, headers: dict[str, str]
    ) -> None:
        headers = {name: browser.origin if v == "ours" else v for name, v in headers.items()}
        answer = await browser.client.post(
            "/sign-in", data={"name": "anna", "password": GOOD}, headers=headers
        )
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize(
        "headers", [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
    )
    async def test_our_own_do_by_either_header(
        self, browser: Browser, headers: dict[str, str]
    ) -> None:
        answer = await browser.client.post(
            "/sign-in", data={"name": "anna", "password": GOOD}, headers=headers
        )
        assert answer.status_code == 303

    async def test_a_proxy_that_changes_the_host_is_known_by_the_public_url(
        self, tmp_path: Path
    ) -> None:
        public = "https://pacs.hospital.example"
        async with site(tmp_path, public_url=public) as pages, pages.browser() as browser:
            await pages.user("anna")
            browser.origin = public
            answer = await browser.sign_in()
            assert answer.status_code == 303
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-pacs=")
            assert "; Secure" in cookie
            browser.origin = "http://pacs.hospital.example"
            assert (await browser.sign_in()).status_code == 403


class TestUnprotected:
    async def test_nobody_signs_in_without_tls_where_others_listen(self, browser: Browser) -> None:
        headers = {"host": "pacs.hospital.example", "origin": "http://pacs.hospital.example"}
        answer = await browser.client.post(
            "/sign-in", data={"name": "anna", "password": GOOD}, headers=headers
        )
        assert answer.status_code == 403
        assert '<div class="note warn" id="unprotected" role="alert">' in answer.text
        assert "set-cookie" not in answer.headers

    async def test_behind_a_proxy_with_tls_the_cookie_is_secure(self, browser: Browser) -> None:
        headers = {"host": "pacs.hospital.example", "origin": "https://pacs.hospital.example"}
        answer = await browser.client.post(
            "/sign-in", data={"name": "anna", "password": GOOD}, headers=headers
        )
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-pacs=")
        assert {"; Secure", "; HttpOnly", "; Path=/", "; SameSite=lax"} <= {
            f"; {part.strip()}" for part in cookie.split(";")
        }


class TestSignOut:
    async def test_this_session_ends_and_others_go_on(self, pages: Site, browser: Browser) -> None:
        async with pages.browser() as other:
            await browser.sign_in()
            await other.sign_in()
            token = browser.client.cookies["pacs"]
            answer = await browser.post("/sign-out", {"where": "here"}, csrf=True)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?done=out")
            assert "pacs" not in browser.client.cookies
            assert (await browser.get("/account", cookie=f"pacs={token}")).status_code == 303
            assert await other.is_signed_in()
            assert "You are signed out" in visible((await browser.get("/sign-in?done=out")).text)

    async def test_all_of_them_end(self, pages: Site, browser: Browser) -> None:
        async with pages.browser() as other:
            await browser.sign_in()
            await other.sign_in()
            await browser.post("/sign-out", {"where": "everywhere"}, csrf=True)
            assert not await other.is_signed_in()
            assert pages.events[-1].action == "sign-out everywhere"

    async def test_it_takes_a_form_of_this_session(self, pages: Site, browser: Browser) -> None:
        await pages.user("bert")
        async with pages.browser() as other:
            await other.sign_in("bert")
            await browser.sign_in()
            for csrf in ("", "x", await other.csrf(), "ü"):
                answer = await browser.post("/sign-out", {"where": "here", "csrf": csrf})
                assert answer.status_code == 403
                assert "This form was not accepted" in visible(answer.text)
            assert (await browser.post("/sign-out", {"where": "here"})).status_code == 403
            assert await browser.is_signed_in()

    async def test_looking_at_the_page_signs_nobody_out(self, browser: Browser) -> None:
        await browser.sign_in()
        page = await browser.get("/sign-out")
        assert "Sign out everywhere" in page.text
        assert await browser.is_signed_in()


class TestAnswers:
    @pytest.mark.parametrize("path", ["/sign-in", "/welcome", "/account", "/sign-out", "/"])
    async def test_nothing_foreign_runs_in_a_page(self, browser: Browser, path: str) -> None:
        await browser.sign_in()
        for answer in (await browser.get(path), await browser.client.head(path)):
            headers = answer.headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["cache-control"] == "no-store"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cross-origin-opener-policy"] == "same-origin"

    async def test_programs_are_answered_as_programs(self, browser: Browser) -> None:
        client = browser.client
        for answer, status in (
            (await client.get("/account", headers={"accept": "application/json"}), 401),
            (await client.get("/account", headers={"accept": "*/*"}), 401),
            (await client.post("/sign-out", headers={"accept": "*/*"}), 403),
            (await client.put("/sign-in", headers={"accept": "*/*"}), 405),
        ):
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status

    async def test_a_browser_gets_a_page_with_a_way_on(self, browser: Browser) -> None:
        answer = await browser.client.put("/sign-in")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
        assert '<a class="button" href="/">' in answer.text

    async def test_a_form_without_a_session_says_sign_in(self, browser: Browser) -> None:
        answer = await browser.post("/account/password", {"old": "a", "new": "b", "csrf": "c"})
        assert answer.status_code == 401
        assert 'href="/sign-in"' in answer.text

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"name=anna&password=" + b"x" * 20_000, "application/x-www-form-urlencoded"),
            (b"a=1&" * 60, "application/x-www-form-urlencoded"),
            (b"name=%ff&password=x", "application/x-www-form-urlencoded"),
            (b"name=\xff", "application/x-www-form-urlencoded"),
            (b"name=" + b"a" * 300, "application/x-www-form-urlencoded"),
            (b"{}", "application/json"),
            (b"x", ""),
        ],
    )
    async def test_what_is_no_form_is_refused(
        self, browser: Browser, body: bytes, kind: str
    ) -> None:
        headers = {"origin": browser.origin, "content-type": kind}
        answer = await browser.client.post("/sign-in", content=body, headers=headers)
        assert answer.status_code == 400

    async def test_what_somebody_typed_is_text(self, browser: Browser) -> None:
        answer = await browser.sign_in('"><script>alert(1)</script>', "x")
        assert "<script>alert" not in answer.text


def test_the_cookie_is_found_as_it_was_set() -> None:
    def scope(host: str, cookie: str, scheme: str = "http") -> dict[str, object]:
        headers = [(b"host", host.encode()), (b"cookie", cookie.encode())]
        return {"type": "http", "scheme": scheme, "headers": headers}

    assert session_cookie_of(scope("127.0.0.1:8042", "a=b; pacs=t")) == "t"
    assert session_cookie_of(scope("localhost", "pacs=t")) == "t"
    assert session_cookie_of(scope("[::1]:8042", "pacs=t")) == "t"
    assert session_cookie_of(scope("pacs.example", "__Host-pacs=t")) == "t"
    assert session_cookie_of(scope("localhost", "__Host-pacs=t", "https")) == "t"
    # A neighbouring host can plant a plain one: it counts for nothing there.
    assert session_cookie_of(scope("pacs.example", "pacs=t")) is None
    assert session_cookie_of(scope("localhost", "pacs=t", "https")) is None
    assert session_cookie_of(scope("127.0.0.1", "pacs=t"), "https://pacs.example") is None
    assert session_cookie_of(scope("[", "pacs=t")) is None
    assert session_cookie_of(scope("127.0.0.1", "xpacs=t; pacs-oidc=u; pacs=")) is None
    assert session_cookie_of({"type": "http", "headers": []}) is None
