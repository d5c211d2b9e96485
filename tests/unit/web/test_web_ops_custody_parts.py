"""Parts of the pages about custody and people: tables for spreadsheets, pages of lists, forms."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from starlette.requests import Request

from pacs_cloud.audit.reading import Unreadable
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.identity.devices import ANYWHERE, Device, DeviceDestination, DeviceService
from pacs_cloud.security.audit_event import AuditEvent, AuditPatient, Kind
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.web.forms import Form
from pacs_cloud.web.ops.audit_search import csv_of
from pacs_cloud.web.ops.device_fields import FIRST, device_of, differences, given_of
from pacs_cloud.web.ops.grant_fields import fields_given, fields_of, grants_in
from pacs_cloud.web.ops.pages import page_in, page_of

EVENT = AuditEvent(Kind.QUERY, "default", "=cmd|' /C calc'!A0", "dicomweb", 1_790_000_000_000_000)
DEVICE = Device(
    "default",
    "CT 1",
    addresses=("10.1.0.0/16", "10.2.0.1/32"),
    services=frozenset({DeviceService.STORE, DeviceService.MOVE}),
    needs_tls=True,
    certificates=("a" * 64,),
    most_associations=4,
    destination=DeviceDestination("ct1.example", 104, tls=True, tls_name="ct1"),
    note="in the basement",
)


def request(query: str = "") -> Request:
    scope = {"type": "http", "method": "GET", "path": "/ops/x", "query_string": query.encode()}
    return Request({**scope, "headers": []})


async def counted(count: int, read: list[int]) -> AsyncIterator[int]:
    for number in range(count):
        read.append(number)
        yield number


async def test_no_cell_is_a_formula() -> None:
    async def events() -> AsyncIterator[AuditEvent]:
        yield EVENT
        patients = (AuditPatient("@SUM(1)", name="=1+1"), AuditPatient("+1"))
        yield replace(EVENT, patients=patients, query='-2,"x"\n3;=1;@1', details=(("why", "=1"),))

    text = b"".join([part async for part in csv_of(events(), Unreadable())]).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["who"] for row in rows] == [f"'{EVENT.subject}"] * 2
    # Where a comma is decimal, spreadsheets part cells at semicolons.
    assert rows[1]["patients"] == "'@SUM(1) =1+1; '+1"
    assert rows[1]["query"] == "'-2,\"x\"\n3;'=1;'@1"
    assert rows[1]["details"] == "why==1"


async def test_a_list_is_turned_page_by_page_and_read_no_further() -> None:
    read: list[int] = []
    page = await page_of(request("q=a%26b"), counted(100, read), 10)
    assert page.items == tuple(range(10))
    assert (page.before, page.after) == ("", "/ops/x?q=a%26b&page=2")
    assert len(read) == 11
    page = await page_of(request("page=2"), counted(15, []), 10)
    assert (page.items, page.first) == (tuple(range(10, 15)), 11)
    assert (page.before, page.after) == ("/ops/x", "")
    assert page_in(request("page=3"), list(range(30)), 10).after == ""
    for wrong in ("0", "-1", "x", "9" * 20, "١", "000000001" + "9" * 5000):
        with pytest.raises(InvalidRequest):
            page_in(request(f"page={wrong}"), [1])


def test_a_device_is_the_same_after_its_form() -> None:
    assert device_of("default", given_of(DEVICE)) == DEVICE
    anywhere = replace(DEVICE, addresses=ANYWHERE, destination=None, most_associations=None)
    assert given_of(anywhere)["from"] == "any"
    assert device_of("default", given_of(anywhere)) == anywhere


@pytest.mark.parametrize(
    ("field", "value"),
    [("most", "many"), ("per_minute", "-1"), ("to", "nowhere"), ("user", "sometimes")],
)
def test_a_devices_form_says_what_is_wrong(field: str, value: str) -> None:
    with pytest.raises(InvalidRequest):
        device_of("default", {**given_of(DEVICE), field: value})


def test_what_changes_of_a_device_is_said() -> None:
    after = replace(DEVICE, needs_tls=False, note="")
    assert differences(DEVICE, after) == (
        ("Note", "in the basement", ""),
        ("Must come over TLS", "yes", "no"),
    )
    assert {name: then for name, _, then in differences(None, FIRST)}["AE title"] == "NEW"


def test_what_somebody_may_is_the_same_after_its_form() -> None:
    rule = StudyRule(modalities=frozenset({"CT", "MR"}), institutions=frozenset({"North"}))
    grants = (Grant(Role.AUDITOR), Grant(Role.CLINICIAN, (rule,)))
    fields = fields_of(grants)
    given = {field: "1" for field, _, _, ticked in fields.roles if ticked}
    given["rules"] = fields.rules
    assert grants_in(Form(given)) == grants
    assert fields_given(given) == fields
    for wrong in ({}, {"rules": "king"}, {"rules": "referrer"}, {"role-guest": "1"}):
        with pytest.raises(InvalidRequest):
            grants_in(Form(wrong))
