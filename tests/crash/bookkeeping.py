"""What was promised, and whether the archive keeps it."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable
from email.message import Message

import httpx

from crash.instances import Instance
from patience import PATIENCE_S

PAGE = 500


class Promises:
    """The instances that were answered Success; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: dict[tuple[str, str], dict[str, bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._digests.values()))

    def add(self, instance: Instance) -> None:
        """Note that `instance` was answered Success."""
        series = (instance.study_instance_uid, instance.series_instance_uid)
        with self._lock:
            kept = self._digests.setdefault(series, {})
            kept[instance.sop_instance_uid] = hashlib.sha256(instance.dataset).digest()

    def restricted_to(self, sop_instance_uids: Iterable[str]) -> "Promises":
        """Return the promises about these instances alone."""
        chosen = set(sop_instance_uids)
        part = Promises()
        for series, digests in self._digests.items():
            if left := {uid: digest for uid, digest in digests.items() if uid in chosen}:
                part._digests[series] = left
        return part

    def broken(self, http: str) -> list[str]:
        """Return what is missing, altered or doubled in the archive at `http`, in words."""
        faults: list[str] = []
        with httpx.Client(
            base_url=f"{http}/dicom-web", timeout=PATIENCE_S, trust_env=False
        ) as client:
            for (study, series), promised in self._digests.items():
                path = f"/studies/{study}/series/{series}"
                listed = Counter(_listed(client, path))
                found: Counter[str] = Counter()
                for uid, digest in _retrieved(client, path):
                    found[uid] += 1
                    if uid in promised and digest != promised[uid]:
                        faults.append(f"{uid} came back altered")
                for uid in promised:
                    if not found[uid]:
                        faults.append(f"{uid} is lost")
                    if not listed[uid]:
                        faults.append(f"{uid} is not listed")
                for where, counts in (("listed", listed), ("retrieved", found)):
                    faults += [
                        f"{uid} is {where} {times} times"
                        for uid, times in counts.items()
                        if times > 1
                    ]
                if listed.keys() != found.keys():
                    faults.append(f"{len(listed)} are listed and {len(found)} retrieved")
        return faults


def _listed(client: httpx.Client, series_path: str) -> Iterable[str]:
    """Yield each SOP Instance UID that QIDO-RS lists."""
    offset = 0
    while True:
        answer = client.get(
            f"{series_path}/instances",
            params={"limit": PAGE, "offset": offset},
            headers={"Accept": "application/dicom+json"},
        )
        if answer.status_code in {204, 404}:
            return
        answer.raise_for_status()
        page = answer.json()
        for instance in page:
            yield instance["00080018"]["Value"][0]
        if len(page) < PAGE:
            return
        offset += PAGE


def _retrieved(client: httpx.Client, series_path: str) -> Iterable[tuple[str, bytes]]:
    """Yield the SOP Instance UID and the data set's digest of each instance WADO-RS returns."""
    answer = client.get(
        series_path,
        headers={
            "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
            "Accept-Encoding": "identity",
        },
    )
    if answer.status_code == 404:
        return
    answer.raise_for_status()
    kind = Message()
    kind["Content-Type"] = answer.headers["Content-Type"]
    boundary = kind.get_param("boundary")
    assert isinstance(boundary, str), answer.headers["Content-Type"]
    for part in split_parts(answer.content, boundary.encode()):
        uid, start = file_meta(part)
        yield uid, hashlib.sha256(memoryview(part)[start:]).digest()


def split_parts(body: bytes, boundary: bytes) -> Iterable[bytes]:
    """Yield the bodies of a multipart message's parts (RFC 2046 5.1.1)."""
    mark = b"--" + boundary
    at = body.index(mark)
    while body[at + len(mark) : at + len(mark) + 2] != b"--":
        start = body.index(b"\r\n\r\n", at) + 4
        at = body.index(b"\r\n" + mark, start)
        yield body[start:at]
        at += 2


def file_meta(part10: bytes) -> tuple[str, int]:
    """Return the Media Storage SOP Instance UID and where the data set begins (PS3.10 7.1)."""
    assert part10[128:132] == b"DICM", "not a Part 10 file"
    end = 144 + int.from_bytes(part10[140:144], "little")
    at = 144
    uid = ""
    while at < end:
        element = int.from_bytes(part10[at + 2 : at + 4], "little")
        if part10[at + 4 : at + 6] in {b"OB", b"UN"}:
            length, value = int.from_bytes(part10[at + 8 : at + 12], "little"), at + 12
        else:
            length, value = int.from_bytes(part10[at + 6 : at + 8], "little"), at + 8
        if element == 0x0003:
            uid = part10[value : value + length].rstrip(b"\0 ").decode("ascii")
        at = value + length
    return uid, end
