"""The light viewer's pages and lists over a whole archive: for whom, and what they say."""

import gzip
import html
import json
import re
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import config, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, CTImageStorage, VideoPhotographicImageStorage

from e2e.house import House, house
from integration.share_house import OTHER, SHARED, instance_file
from pacs_cloud.dicom.key_selection import KeySelection, Reference, document_of
from pacs_cloud.retrieve.instances import Instances, Located
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.web.light import frame_list, key_images
from pacs_cloud.web.light.frame_order import Place, in_order
from volume_samples import STUDY, enhanced, part10, series_of
from web_site import GOOD, Browser, visible
from wrapping_samples import mp4

SERIES = f"{SHARED}.1"
PAGE = f"/light/studies/{SHARED}"
FRAMES = f"{PAGE}/series/{SERIES}/frames"
KEYS = f"{PAGE}/keys"
LINK = re.compile(r'id="link">(.*?)</code>')


def slices(study: str, count: int) -> list[bytes]:
    """Slices whose files come in another order than they lie in."""
    return [
        instance_file(study, number, ImagePositionPatient=rf"-100\-100\{-5 * number}")
        for number in (*range(count, 0, -2), *range(count - 1, 0, -2))
    ]


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path) as made:
        await made.store([*slices(SHARED, 4), instance_file(OTHER)])
        yield made


@asynccontextmanager
async def signed_in(archive: House, name: str, *grants: Grant) -> AsyncGenerator[Browser]:
    accounts = archive.accounts
    await accounts.redeem(await accounts.create(name, grants or (Grant(Role.RADIOLOGIST),)), GOOD)
    async with Browser(archive.url) as browser:
        await browser.sign_in(name)
        yield browser


async def ask(browser: Browser, path: str, **fields: str) -> httpx.Response:
    """Ask as the viewer's scripts do."""
    return await browser.get(path, accept="application/json", **fields)


async def keep(browser: Browser, *images: dict[str, Any], **more: str) -> httpx.Response:
    page = (await browser.get(PAGE)).text
    csrf = re.findall(r'data-csrf="([^"]*)"', page)[0]
    fields = {"csrf": csrf, "title": "113002", "images": json.dumps(images), **more}
    return await browser.post(KEYS, fields, accept="application/json")


async def test_the_page_has_its_first_image_before_any_script(archive: House) -> None:
    async with signed_in(archive, "anna") as anna:
        answer = await anna.get(PAGE)
        assert answer.status_code == 200
        assert "SHARED, SUSAN" in visible(answer.text)
        first = html.unescape(re.findall(r'<img id="first" src="([^"]+)"', answer.text)[0])
        assert f"/instances/{SHARED}.1.1/frames/1/rendered" in first
        assert f'as="image" href="{html.escape(first)}"' in answer.text
        picture = await anna.get(first, accept="image/*,*/*")
        assert picture.headers["content-type"] == "image/jpeg"
        # Without scripts one goes from image to image by links.
        second = await anna.get(f"{PAGE}?series={SERIES}&image=2")
        assert f"/instances/{SHARED}.1.2/frames/1/rendered" in second.text
        assert f'rel="next" href="{PAGE}?series={SERIES}&amp;image=3"' in second.text
        assert f'rel="prev" href="{PAGE}?series={SERIES}&amp;image=1"' in second.text
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert answer.headers["cache-control"] == "no-store"


async def test_the_list_is_in_the_order_of_the_body(archive: House) -> None:
    async with signed_in(archive, "anna") as anna:
        answer = await ask(anna, FRAMES, **{"accept-encoding": "identity"})
        said = answer.json()
        assert [row[0] for row in said["images"]] == [f"{SHARED}.1.{n}" for n in (1, 2, 3, 4)]
        assert (said["count"], said["modality"]) == (4, "CT")
        # What is the same of all stands once.
        assert len(said["looks"]) == len(said["windows"]) == 1
        packed = await ask(anna, FRAMES)
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.json() == said
        assert len(gzip.compress(answer.content)) < len(answer.content)


async def test_the_list_is_sent_again_only_when_it_changed(archive: House) -> None:
    async with signed_in(archive, "anna") as anna:
        first = await ask(anna, FRAMES)
        etag = first.headers["etag"]
        for known in (etag, f'"x", W/{etag}', "*"):
            again = await ask(anna, FRAMES, **{"if-none-match": known})
            assert (again.status_code, again.content) == (304, b""), known
        assert "no-cache" in first.headers["cache-control"]
        async with archive_changes(archive):
            changed = await ask(anna, FRAMES, **{"if-none-match": etag})
        assert changed.status_code == 200
        assert changed.json()["count"] == 5


@asynccontextmanager
async def archive_changes(archive: House) -> AsyncGenerator[None]:
    """Add one image by the pages' own door."""
    async with signed_in(archive, "theo", Grant(Role.TECHNOLOGIST)) as theo:
        file = instance_file(SHARED, 5, ImagePositionPatient=r"-100\-100\-25")
        answer = await theo.client.post(
            "/dicom-web/studies",
            content=b"--b\r\ncontent-type: application/dicom\r\n\r\n" + file + b"\r\n--b--",
            headers={
                "content-type": 'multipart/related; type="application/dicom"; boundary=b',
                "origin": theo.origin,
                "accept": "application/dicom+json",
            },
        )
        assert answer.status_code == 200, answer.text
        yield


async def test_nobody_sees_more_than_they_may(archive: House) -> None:
    rule = StudyRule(studies=frozenset({OTHER}))
    async with (
        signed_in(archive, "carl", Grant(Role.CLINICIAN, (rule,))) as carl,
        signed_in(archive, "ops", Grant(Role.OPS)) as ops,
        Browser(archive.url) as nobody,
    ):
        for path in (PAGE, FRAMES, KEYS, f"/light/studies/{OTHER}?series={SERIES}"):
            hidden = await ask(carl, path)
            gone = await ask(carl, path.replace(SHARED, "1.2.3"))
            assert hidden.status_code == 404, path
            assert hidden.text.replace(SHARED, "1.2.3") == gone.text, path
            assert (await ask(ops, path)).status_code == 403, path
            assert (await ask(nobody, path)).status_code == 401, path
        assert (await carl.get(f"/light/studies/{OTHER}")).status_code == 200
        assert "HUGO" in visible((await carl.get("/light/")).text)
        assert "SUSAN" not in visible((await carl.get("/light/")).text)
        assert (await nobody.get("/light/")).headers["location"].startswith("/sign-in")
        assert (await ask(carl, "/light/studies/1.x")).status_code == 404


async def test_guests_see_their_study_and_add_nothing(archive: House) -> None:
    async with signed_in(archive, "anna") as anna, Browser(archive.url) as guest:
        wish = {"studies": SHARED, "reason": "an opinion", "days": "14"}
        made = await anna.post("/shares", wish, csrf=True)
        link = html.unescape(LINK.findall(made.text)[0])
        page, _, secret = link.removeprefix(archive.url).partition("#")
        assert (await guest.post(page, {"secret": secret, "open": "1"})).status_code == 303
        assert f'href="{PAGE}"' in (await guest.get(page)).text
        seen = await guest.get(PAGE)
        assert "SHARED, SUSAN" in visible(seen.text)
        assert f'href="{page}" aria-label="Back"' in seen.text
        assert 'data-csrf=""' in seen.text
        assert "/shares" not in seen.text
        assert (await ask(guest, FRAMES)).json()["count"] == 4
        assert (await ask(guest, f"/light/studies/{OTHER}")).status_code == 404
        image = {"series": SERIES, "instance": f"{SERIES}.1"}
        assert (await keep(guest, image)).status_code in {401, 403}
        assert (await ask(guest, KEYS)).json() == []
        assert (await guest.get("/light/")).headers["location"] == page


async def test_key_images_are_kept_and_found_again(archive: House) -> None:
    async with signed_in(archive, "anna") as anna:
        assert (await ask(anna, KEYS)).json() == []
        images = [{"series": SERIES, "instance": f"{SERIES}.{number}"} for number in (3, 1)]
        kept = await keep(anna, *images, note="Look")
        assert kept.status_code == 201, kept.text
        (found,) = (await ask(anna, KEYS)).json()
        assert (found["title"], found["note"]) == ("For Referring Provider", "Look")
        assert found["who"] == "anna"
        assert [one["instance"] for one in found["images"]] == [f"{SERIES}.3", f"{SERIES}.1"]
        # It is an instance of the study, which other systems find; no tile of the strip.
        rows = (await ask(anna, f"/dicom-web/studies/{SHARED}/series?Modality=KO")).json()
        assert len(rows) == 1
        uid = rows[0]["0020000E"]["Value"][0]
        assert uid not in (await anna.get(PAGE)).text


async def test_the_newest_selections_are_shown_however_they_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_images, "_MOST_READ", 2)
    # What came last has the lowest number and UID of its series.
    came = (3, "first"), (2, "second"), (1, "third")
    async with house(tmp_path) as made, signed_in(made, "anna") as anna:
        await made.store([instance_file(SHARED)])
        for one in came:
            await made.store([selection(*one)])
        found = (await ask(anna, KEYS)).json()
    assert [one["note"] for one in found] == ["third", "second"]


def selection(number: int, words: str) -> bytes:
    """A selection of another system, as series `number` of its study."""
    named = Reference(SERIES, CTImageStorage, f"{SERIES}.1")
    chosen = KeySelection(("113002", "For Referring Provider"), [named], words)
    study = dcmread(BytesIO(instance_file(SHARED))).to_json_dict()
    dataset = dcmread(BytesIO(document_of(chosen, SHARED, study, at_us=0).file))
    dataset.SeriesNumber = number
    dataset.SeriesInstanceUID = f"{SHARED}.9.{number}"
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


async def test_an_image_is_looked_up_once_however_many_of_its_frames_are_chosen(
    archive: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    locate = Instances.locate

    async def noted(self: Instances, caller: Caller, *uids: str) -> tuple[Located, ...]:
        asked.append(uids[-1])
        return await locate(self, caller, *uids)

    async with signed_in(archive, "anna") as anna:
        page = (await anna.get(PAGE)).text
        csrf = re.findall(r'data-csrf="([^"]*)"', page)[0]
        monkeypatch.setattr(Instances, "locate", noted)
        one, two = ({"series": SERIES, "instance": f"{SERIES}.{n}"} for n in (1, 2))
        images = [{**one, "frame": 2}, two, {**one, "frame": 1}, {**one, "frame": 2}, one]
        fields = {"csrf": csrf, "title": "113002", "images": json.dumps(images)}
        kept = await anna.post(KEYS, fields, accept="application/json")
    assert asked == [f"{SERIES}.1", f"{SERIES}.2"]
    assert [(said["instance"], said["frames"]) for said in kept.json()["images"]] == [
        (f"{SERIES}.1", [2, 1]),
        (f"{SERIES}.2", []),
    ]


async def test_what_cannot_be_kept_is_not(archive: House) -> None:
    image = {"series": SERIES, "instance": f"{SERIES}.1"}
    async with (
        signed_in(archive, "anna") as anna,
        signed_in(archive, "carl", Grant(Role.CLINICIAN)) as carl,
    ):
        for images, more, status in (
            ([], {}, 400),
            ([image] * 49, {}, 400),
            ([{**image, "frame": 0}], {}, 400),
            ([image], {"title": "x"}, 400),
            ([image], {"images": "no"}, 400),
            ([image], {"csrf": "x"}, 403),
            ([{**image, "instance": "1.2.3"}], {}, 404),
            ([{"series": f"{OTHER}.1", "instance": f"{OTHER}.1.1"}], {}, 404),
        ):
            assert (await keep(anna, *images, **more)).status_code == status, more or images
        # Whoever only reads adds nothing.
        assert 'data-csrf=""' in (await carl.get(PAGE)).text
        csrf = await carl.csrf()
        refused = await keep(carl, image, csrf=csrf)
        assert refused.status_code == 403
        assert (await ask(anna, KEYS)).json() == []


async def test_who_adds_to_some_studies_adds_to_no_other(archive: House) -> None:
    image = {"series": SERIES, "instance": f"{SERIES}.1"}
    sees = Grant(Role.CLINICIAN)
    elsewhere = StudyRule(studies=frozenset({OTHER}))
    one_series = StudyRule(studies=frozenset({SHARED}), series=frozenset({SERIES}))
    here = StudyRule(studies=frozenset({SHARED}))
    for name, rule, status in (
        ("tom", elsewhere, 404),
        ("tim", one_series, 403),
        ("tina", here, 201),
    ):
        grants = sees, Grant(Role.TECHNOLOGIST, (rule,))
        async with signed_in(archive, name, *grants) as somebody:
            assert (await keep(somebody, image)).status_code == status, name


async def test_it_can_be_installed_and_keeps_no_patient(archive: House) -> None:
    async with Browser(archive.url) as nobody:
        manifest = (await nobody.get("/light/manifest.webmanifest")).json()
        assert (manifest["start_url"], manifest["scope"]) == ("/light/", "/light/")
        for icon in manifest["icons"]:
            assert (await nobody.get(icon["src"])).headers["content-type"] == "image/png"
        worker = await nobody.get("/light/worker.js")
        assert worker.headers["content-type"].startswith("text/javascript")
        told = json.loads(worker.text.partition("const HERE = ")[2].partition(";\n")[0])
        assert all(path.startswith("/static/") for path in told["files"])
        total = 0
        for path in told["files"]:
            total += len((await nobody.get(path)).content)
        assert "cannot be reached" in visible((await nobody.get(told["away"])).text)
    async with signed_in(archive, "anna") as anna:
        page = await anna.get(PAGE)
        total += len(page.content) + len((await ask(anna, FRAMES)).content)
        # All modules stand in the worker's list, which is what is weighed here.
        needed = set(re.findall(r'/static/\w+/[^"]+\.(?:js|css)', page.text))
        assert needed <= set(told["files"])
    assert total <= 200_000


def video(study: str) -> bytes:
    """A film as phones make it, in a series of its own."""
    dataset = dcmread(BytesIO(instance_file(study, 9)))
    dataset.SOPClassUID = VideoPhotographicImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = VideoPhotographicImageStorage
    dataset.SeriesInstanceUID, dataset.Modality = f"{study}.7", "XC"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "YBR_PARTIAL_420"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.NumberOfFrames = 7, 0, 10
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41
    dataset.PixelData = encapsulate([mp4()])
    dataset["PixelData"].is_undefined_length = True
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


async def test_a_film_plays_as_it_is(tmp_path: Path) -> None:
    async with house(tmp_path) as archive:
        await archive.store([instance_file(SHARED), video(SHARED)])
        async with signed_in(archive, "anna") as anna:
            page = (await anna.get(f"{PAGE}?series={SHARED}.7")).text
            (url,) = re.findall(r'<video src="([^"]+)"', page)
            assert (await anna.get(url, accept="*/*")).headers["content-type"] == "video/mp4"
            part = await anna.get(url, accept="*/*", range="bytes=4-7")
            assert (part.status_code, part.content) == (206, b"ftyp")
            # Of what has no pictures none is asked for.
            assert f"{SHARED}.7/thumbnail" not in page
            assert f"{SERIES}/thumbnail" in page


async def test_priors_are_of_the_same_patient_and_for_whoever_sees_them(tmp_path: Path) -> None:
    issued = {"PatientID": "ID-81", "IssuerOfPatientID": "ELSEWHERE"}
    async with house(tmp_path) as archive:
        others = [instance_file(OTHER, PatientID="ID-81"), instance_file("1.2.3", 1, **issued)]
        await archive.store([instance_file(SHARED), *others])
        rule = StudyRule(studies=frozenset({SHARED}))
        async with (
            signed_in(archive, "anna") as anna,
            signed_in(archive, "carl", Grant(Role.CLINICIAN, (rule,))) as carl,
        ):
            assert re.findall(r'data-study="([^"]+)" data-series', (await anna.get(PAGE)).text) == [
                SHARED,
                OTHER,
            ]
            assert OTHER not in (await carl.get(PAGE)).text


async def test_only_what_was_made_before_is_called_a_prior(tmp_path: Path) -> None:
    """What came later is at hand behind it, and what says no day is neither."""
    made = {
        **{f"1.2.3.{month}": f"2025{month:02}01" for month in (1, 2, 3, 4, 6, 7)},
        "1.2.3.3": "2025.03.01",
        "1.2.3.9": "",
        "1.2.3.10": "20251301",
    }
    file = {"PatientID": "ID-81", "StudyTime": ""}
    with config.disable_value_validation():
        files = [instance_file(uid, 1, StudyDate=day, **file) for uid, day in made.items()]
    async with house(tmp_path) as archive, signed_in(archive, "anna") as anna:
        await archive.store([instance_file(SHARED, 1, StudyDate="20250501", **file), *files])
        assert await beside(anna, SHARED) == [
            *((f"1.2.3.{month}", "Prior study") for month in (4, 3, 2, 1)),
            *((f"1.2.3.{month}", "Later study") for month in (7, 6)),
        ]
        assert (await beside(anna, "1.2.3.1"))[-1] == ("1.2.3.2", "Later study")
        assert {said for _, said in await beside(anna, "1.2.3.9")} == {"Other study"}
        first = await beside(anna, "1.2.3.2")
        assert first[0] == ("1.2.3.1", "Prior study")
        assert {said for _, said in first[1:]} == {"Later study"}


async def test_of_one_day_the_hour_tells_what_is_a_prior(tmp_path: Path) -> None:
    """One without an hour, or of the same minute, is neither before nor after."""
    made = {
        "1.2.3.8": "080000",
        SHARED: "120000",
        "1.2.3.16": "160000",
        "1.2.3.0": "",
        "1.2.3.12": "120030",
    }
    file = {"PatientID": "ID-81", "StudyDate": "20250501"}
    async with house(tmp_path) as archive, signed_in(archive, "anna") as anna:
        await archive.store(
            [instance_file(uid, 1, StudyTime=at, **file) for uid, at in made.items()]
        )
        assert dict(await beside(anna, SHARED)) == {
            "1.2.3.8": "Prior study",
            "1.2.3.0": "Other study",
            "1.2.3.12": "Other study",
            "1.2.3.16": "Later study",
        }


async def beside(browser: Browser, study: str) -> list[tuple[str, str]]:
    """Return the patient's other studies in the strip of one, and what each is called."""
    page = (await browser.get(f"/light/studies/{study}")).text
    shown = re.findall(r'<li class="[^"]*prior.*?</li>', page, re.DOTALL)
    told = re.compile(r'data-study="([^"]+)".*<span class="unseen">([^<]*)<', re.DOTALL)
    return [pair for one in shown for pair in told.findall(one)]


async def test_a_series_without_images_says_what_it_is(archive: House) -> None:
    async with signed_in(archive, "anna") as anna:
        await keep(anna, {"series": SERIES, "instance": f"{SERIES}.1"})
        rows = (await ask(anna, f"/dicom-web/studies/{SHARED}/series?Modality=KO")).json()
        uid = rows[0]["0020000E"]["Value"][0]
        page = await anna.get(f"{PAGE}?series={uid}")
        assert page.status_code == 200
        assert "Open the report" in visible(page.text)
        said = (await ask(anna, f"{PAGE}/series/{uid}/frames")).json()
        assert (said["count"], said["others"][0]["kind"]) == (0, "report")


async def test_frames_of_one_image_have_their_own_places(tmp_path: Path) -> None:
    series = series_of(shape=(4, 3, 3), FrameOfReferenceUID="1.2.3", Modality="MR")
    series[3].RescaleSlope = 2
    async with house(tmp_path) as made, signed_in(made, "anna") as anna:
        await made.store([part10(enhanced([series[n] for n in (0, 2, 1, 3)]))])
        said = (await ask(anna, f"/light/studies/{STUDY}/series/{STUDY}.1/frames")).json()
    ((_, frames, looks, windows, _, depths),) = said["images"]
    assert frames == 4
    assert depths == [5, 9, 7, 11]
    assert (looks, windows) == ([0, 0, 0, 1], 0)
    assert len(said["looks"]) == 2
    assert said["looks"][0]["space"] == "1.2.3"


async def test_long_headers_are_read_beside_the_loop_however_few(
    archive: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.store([part10(enhanced(series_of(shape=(3000, 1, 1))))])
    threads: list[threading.Thread] = []

    def noted(places: Sequence[Place]) -> list[int]:
        threads.append(threading.current_thread())
        return in_order(places)

    monkeypatch.setattr(frame_list, "in_order", noted)
    async with signed_in(archive, "anna") as anna:
        said = (await ask(anna, f"/light/studies/{STUDY}/series/{STUDY}.1/frames")).json()
        assert said["count"] == 3000
        await ask(anna, FRAMES)
    beside, within = threads
    assert beside is not within is threading.main_thread()
