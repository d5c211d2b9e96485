"""What pages say of errors: each kind has words of its own, or is in the log."""

import logging
from http import HTTPStatus

import pytest
from starlette.requests import Request

from pacs_cloud import errors
from pacs_cloud.security.caller import CALLER, Caller, Grant, Role
from pacs_cloud.web.assets import Assets
from pacs_cloud.web.refusals import Refusals, status_of_form
from pacs_cloud.web.templating import Templates


@pytest.fixture(scope="module")
def refusals() -> Refusals:
    return Refusals(Templates(Assets()))


def asked(**more: object) -> Request:
    return Request({"type": "http", "method": "GET", "path": "/x", "headers": [], **more})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInstance("Its pixels make the codec crash."), 422),
        (errors.NotAcceptable("It is no picture."), 406),
        (errors.Offline("it is cold"), 503),
        (errors.Gone("it was deleted"), 404),
        (errors.TooBroad("too much"), 400),
        (errors.StorageFull("the disk is full"), 503),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, Exception) else str(it),
)
def test_each_kind_has_its_status(refusals: Refusals, error: errors.PacsError, status: int) -> None:
    answer = refusals.of(asked(), error)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == HTTPStatus.SERVICE_UNAVAILABLE)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 200),
        (errors.Denied("not theirs"), 403),
        (errors.Conflict("somebody was quicker"), 409),
        (errors.InvalidRequest("a field is empty"), 422),
        (errors.NotFound("a field names nobody"), 422),
    ],
)
def test_a_form_that_is_shown_again_says_what_was_wrong(
    error: errors.PacsError | None, status: int
) -> None:
    assert status_of_form(error) == status


def test_what_has_no_words_is_in_the_log(
    refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[logging.LogRecord] = []
    log = logging.getLogger("alone")
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "handle", said.append)
    monkeypatch.setattr("pacs_cloud.web.refusals.log", log)
    answer = refusals.of(asked(), errors.Corrupt("packs/default/1.2.3 is damaged"))
    assert answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert [(one.getMessage(), vars(one)["error"]) for one in said] == [("page_failed", "Corrupt")]


@pytest.mark.parametrize(
    ("subject", "role", "link"),
    [
        ("user:anna", Role.RADIOLOGIST, '"/">Go to the studies'),
        ("user:olga", Role.OPS, '"/ops">Go to your start page'),
        ("user:rita", Role.RESEARCHER, '"/account">Go to your account'),
        ("guest:00ff", Role.GUEST, '"/share/00ff">Go to your start page'),
    ],
)
def test_it_leads_to_where_somebody_starts(
    refusals: Refusals, subject: str, role: Role, link: str
) -> None:
    caller = Caller("default", subject, (Grant(role),))
    request = asked(headers=[(b"accept", b"text/html")], **{CALLER: caller})
    for error in (errors.Denied(""), errors.NotFound(""), errors.Corrupt(""), errors.Offline("")):
        assert link in bytes(refusals.of(request, error).body).decode()
