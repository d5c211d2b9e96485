"""`send`: a study to a DICOM peer, as C-MOVE would send it."""

import asyncio
from collections.abc import Iterator
from typing import Final

from pydantic import ValidationError

from pacs_cloud.bootstrap.dimse_doors import CallingContexts, device_peer
from pacs_cloud.bootstrap.dimse_role import limits_of
from pacs_cloud.bootstrap.services import open_reading
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counted, counting, print_json, stderr, stdout
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.dimse.requestor import Peer
from pacs_cloud.dimse.tally import Tally
from pacs_cloud.dimse.transfer import Dispatch, transfer
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Address, Destination, Settings, parse_address

FAILED: Final = 1


def send_study(settings: Settings, study: str, to: str, *, as_json: bool) -> int:
    """Send every visible instance of a study; return the exit code.

    Args:
        settings: of the archive.
        study: its Study Instance UID.
        to: who receives it, `AET@HOST:PORT`, or the AE title of a destination in the
            settings or of a device that has one.
        as_json: print one JSON object.

    Returns:
        1 if the peer did not store all of it; which instances, and why, is said.

    Raises:
        InvalidUid: `study` is no UID.
        InvalidRequest: `to` cannot be understood.
        NotFound: there is no such study, or no such destination.
        Unavailable: a store cannot be read.
    """
    tally = asyncio.run(_send(settings, parse_uid(study), to))
    if as_json:
        print_json(
            {
                "study": study,
                "to": to,
                "instances": tally.total,
                "stored": tally.stored,
                "warnings": tally.warnings,
                "failed": tally.failed,
                "failures": [
                    {"instance": failure.sop_instance_uid, "reason": failure.reason}
                    for failure in tally.failures
                ],
            }
        )
    else:
        for line in _failures(tally):
            stderr.print(line)
        warned = f", {tally.warnings} of them with warnings" if tally.warnings else ""
        stdout.print(f"{tally.stored} of {tally.total} instances stored by {to}{warned}")
    return FAILED if tally.failed else 0


def _failures(tally: Tally) -> Iterator[str]:
    """Yield why instances were not stored: one by one, or at once where nothing was."""
    reasons = {failure.reason for failure in tally.failures}
    if len(reasons) == 1 and tally.failed == tally.total:
        all_of_it = counted(tally.total, "instance was", "instances were")
        yield f"{all_of_it} not stored: {reasons.pop()}"
        return
    for failure in tally.failures:
        yield f"{failure.sop_instance_uid}: {failure.reason}"


def peer_of(to: str, settings: Settings) -> Peer | None:
    """Return the peer that `AET@HOST:PORT`, or the AE title of one in the settings, means.

    None for another AE title.

    Raises:
        InvalidRequest: it cannot be understood.
    """
    ae_title, at, where = to.rpartition("@")
    if not at:
        named = (one for one in settings.destinations if one.aet == to)
        return next(map(CallingContexts(settings).peer, named), None)
    try:
        address = parse_address(where)
        assert isinstance(address, Address)
        known = Destination(aet=ae_title, host=address.host, port=address.port)
    except ValidationError as error:
        wrong = ", ".join(str(fault["loc"][0]) for fault in error.errors())
        raise InvalidRequest(f"--to is AET@HOST:PORT; wrong in {to!r}: {wrong}") from error
    except ValueError as error:
        raise InvalidRequest(f"--to is AET@HOST:PORT: {error}") from error
    return Peer(known.aet, known.host, known.port)


async def _send(settings: Settings, study: str, to: str) -> Tally:
    peer = peer_of(to, settings)
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        if peer is None:
            peer = await device_peer(settings, stores.objects, to)
        located = await reading.archive.readable.instances.locate(system(settings.tenant), study)
        with counting("sending") as progress:
            task = progress.add_task("", total=len(located))

            async def on_progress(tally: Tally) -> None:
                progress.update(task, completed=tally.done)

            return await transfer(
                peer,
                settings.aet,
                located,
                Dispatch(reading.archive, on_progress=on_progress),
                limits=limits_of(settings),
            )
