"""What of the audit trail cannot be read is told of, wherever the trail is read."""

import csv
import io
from pathlib import Path

import orjson

from e2e.house import House, house
from pacs_cloud.security.caller import Role
from web_site import Browser, visible


def damage(made: House, subject: str) -> None:
    """Change the first record of what somebody did, in the journal that is being written."""
    assert made.settings.audit_journals is not None
    said = f'"subject":"{subject}"'.encode()
    for path in made.settings.audit_journals.glob("*/default/*.jsonl"):
        data = path.read_bytes()
        if said in data:
            with path.open("r+b") as file:
                file.seek(data.index(said) + len(said) - 2)
                file.write(b"X")
            return
    raise AssertionError(f"nothing is on record of {subject}")


async def test_records_that_cannot_be_read_are_told_of(tmp_path: Path) -> None:
    async with house(tmp_path) as made, Browser(made.url) as anna, Browser(made.url) as eve:
        await made.user("anna")
        await made.user("eve", Role.AUDITOR)
        assert (await anna.sign_in("anna")).status_code == 303
        assert (await eve.sign_in("eve")).status_code == 303
        pages = ("/ops/audit", "/ops/audit/who?patient=ID-1")
        for path in pages:
            assert "could not be read" not in visible((await eve.get(path)).text)
        last = orjson.loads((await eve.get("/ops/audit/events.jsonl")).text.splitlines()[-1])
        assert last["subject"] == "user:eve"
        rows = csv.DictReader(io.StringIO((await eve.get("/ops/audit/events.csv")).text))
        assert "unreadable" not in {row["kind"] for row in rows}

        damage(made, "user:anna")
        for path in pages:
            text = visible((await eve.get(path)).text)
            assert "At least 1 record could not be read" in text, path
        # Whatever is looked for: nobody knows what the record said.
        for query in ("", "?who=eve&kind=login"):
            lines = (await eve.get(f"/ops/audit/events.jsonl{query}")).text.splitlines()
            last = orjson.loads(lines[-1])
            assert last["unreadable"] == 1
            assert "could not be read" in last["note"]
            text = (await eve.get(f"/ops/audit/events.csv{query}")).text.removeprefix("\ufeff")
            *_, row = csv.DictReader(io.StringIO(text))
            assert (row["kind"], row["count"]) == ("unreadable", "1")
            assert row["details"] == last["note"]
