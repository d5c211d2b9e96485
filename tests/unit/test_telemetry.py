import io
import logging
import re

import pytest

from pacs_cloud.telemetry import EventFormatter, hashed

LOG = logging.getLogger("pacs_cloud.test")


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EventFormatter())
    LOG.handlers[:] = [handler]
    LOG.propagate = False
    LOG.setLevel("INFO")
    return stream


def test_an_event_is_one_line_with_its_fields(lines: io.StringIO) -> None:
    LOG.info(
        "pack_committed", extra={"instances": 3, "seconds": 0.12345, "peer": "a b", "none": ""}
    )
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info pacs_cloud\.test pack_committed"
        r" instances=3 seconds=0\.123 peer='a b' none=''\n",
        lines.getvalue(),
    )


def test_a_field_cannot_forge_a_second_line(lines: io.StringIO) -> None:
    LOG.warning("odd", extra={"title": "X\n2026-01-01T00:00:00.000Z error forged"})
    assert lines.getvalue().count("\n") == 1


def test_an_error_carries_its_traceback(lines: io.StringIO) -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        LOG.error("failed", exc_info=error)
    assert "Traceback" in lines.getvalue()


def test_an_error_s_words_stay_out(lines: io.StringIO) -> None:
    """They may quote what was being read."""
    said = "DOE^JANE"
    try:
        try:
            raise KeyError(said)
        except KeyError as error:
            raise ExceptionGroup(said, [ValueError(said), OSError(28, "full")]) from error
    except ExceptionGroup as error:
        LOG.error("failed", exc_info=error)
    assert said not in lines.getvalue()
    for name in ("builtins.KeyError", "builtins.ValueError", "OSError: full", "test_telemetry.py"):
        assert name in lines.getvalue()


def test_debug_is_silent_at_info(lines: io.StringIO) -> None:
    LOG.debug("detail")
    assert lines.getvalue() == ""


def test_a_hashed_uid_is_stable_and_not_the_uid() -> None:
    assert hashed("1.2.3") == hashed("1.2.3") != hashed("1.2.4")
    assert "1.2.3" not in hashed("1.2.3")


def test_a_uid_is_hashed_wherever_it_stands(lines: io.StringIO) -> None:
    uid = "1.2.840.113619.2.55.3"
    LOG.info("stored", extra={"reason": f"no such key packs/default/ab/{uid}/{uid}/p.zip"})
    LOG.info("peer", extra={"address": "192.168.100.200", "version": "1.2.3"})
    assert uid not in lines.getvalue()
    assert lines.getvalue().count(f"uid:{hashed(uid)}") == 2
    assert "192.168.100.200" in lines.getvalue()
    assert "version=1.2.3" in lines.getvalue()
