"""Thousands of malformed requests: every answer below 500, memory flat, the archive as it was."""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from crash.archive import Archive, fsck, running
from dicomweb_samples import make_instance

SEED = int(os.environ.get("PACS_FUZZ_SEED", "20261125"))
AT_ONCE = 12
FIRST_BYTE_S = 4.0
"""An answer to a whole request comes sooner; half a request gets none, and is given up."""

SERIES = "/dicom-web/studies/1.2.3.1/series/1.2.3.1.1"
INSTANCE = f"{SERIES}/instances/1.2.3.1.1.1"
# Whatever becomes of a body that goes there, it is of another study: nothing can be stored.
ELSEWHERE = "/dicom-web/studies/2.25.99999999999999999999"
FILE = make_instance("1.2.3.9.9.9", study="1.2.3.9", series="1.2.3.9.9", rows=8)
GETS = (
    "/dicom-web/studies?PatientName=DOE*&StudyDate=20240101-20241231&limit=5&includefield=all",
    "/dicom-web/studies?PatientID=P1&fuzzymatching=true&offset=1&00100010=J%C3%BCrgen",
    "/dicom-web/series?Modality=CT&SeriesInstanceUID=1.2.3.1.1,1.2.3.1.2",
    "/dicom-web/instances?SOPInstanceUID=1.2.3.1.1.1&includefield=00280010,00280011",
    "/dicom-web/studies/1.2.3.1/series?RequestAttributesSequence.RequestedProcedureID=7",
    f"{SERIES}/instances?InstanceNumber=1",
    f"{SERIES}/metadata",
    "/dicom-web/studies/1.2.3.1/metadata",
    "/dicom-web/studies/1.2.3.1",
    "/dicom-web/studies/1.2.3.1?accept=application/zip&dicomdir=true",
    INSTANCE,
    f"{INSTANCE}/frames/1,2,3",
    f"{INSTANCE}/bulkdata/7FE00010",
    f"{INSTANCE}/rendered?window=40,400,linear&viewport=64,64&quality=80&annotation=patient",
    f"{INSTANCE}/frames/2/rendered?viewport=32,32,0,0,8,8",
    f"{INSTANCE}/thumbnail?viewport=16,16",
    "/dicom-web/",
    "/openapi.json",
    (
        "/wado?requestType=WADO&studyUID=1.2.3.1&seriesUID=1.2.3.1.1&objectUID=1.2.3.1.1.1"
        "&contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.1"
    ),
    (
        "/wado?requestType=WADO&studyUID=1.2.3.1&seriesUID=1.2.3.1.1&objectUID=1.2.3.1.1.1"
        "&contentType=image/jpeg&rows=32&columns=32&region=0,0,0.5,0.5&windowCenter=40&windowWidth=400"
        "&frameNumber=2&imageQuality=70&annotation=patient,technique"
    ),
)
HEADERS = (
    "accept: application/dicom+json",
    'accept: multipart/related; type="application/dicom"; transfer-syntax=*',
    'accept: multipart/related; type="application/dicom+xml"',
    "accept: application/zip;q=0.5, */*;q=0.1",
    "accept: image/jpeg, image/png;q=0.8",
    "accept-encoding: gzip, zstd;q=0.5",
    'if-none-match: "abc", W/"def"',
    'if-match: "abc"',
    "range: bytes=0-99",
    "range: bytes=-5",
    'if-range: "abc"',
    "x-request-id: abc-1",
    "origin: https://viewer.example",
    "access-control-request-method: GET",
    "expect: 100-continue",
    "cookie: a=b",
)
TOKENS = (
    b"\0", b"\r\n", b"\n", b"\r\n\r\n", b"%00", b"%", b"%ff", b"%E2%82", b"..", b"//", b"/../", b";",
    b",", b"=", b"&", b"?", b"#", b"*", b"\\", b'"', b"'", b"{", b"}", b"<", b"\xff", b"\xc3\x28",
    b"\xed\xa0\x80", b"-1", b"0", b"1e400", b"nan", b"9" * 40, b"1." * 40, b"a" * 300, b"--b",
    b"--b--", b"Infinity", b"null", b"true", b"\x1b", b"\x7f", "é".encode(), "山".encode(),
)  # fmt: skip
METADATA = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.9.9.8"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3.9"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.3.9.9"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00081110": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]},
    "00280010": {"vr": "US", "Value": [8]},
    "00280011": {"vr": "US", "Value": [8]},
    "00280100": {"vr": "US", "Value": [8]},
    "00280002": {"vr": "US", "Value": [1]},
    "7FE00010": {"vr": "OB", "BulkDataURI": "pixels"},
}
ODD_VALUES: tuple[object, ...] = (
    None, True, -1, 1.5, 10**30, "", "x", "\0", "\ud7ff", [], {}, [[]], [None], {"vr": "SQ"},
    {"vr": "ZZ", "Value": [1]}, {"vr": "SQ", "Value": [None, 1]}, {"Value": "x"},
    {"vr": "OB", "InlineBinary": "%%"}, {"vr": "PN", "Value": [{"Alphabetic": 7}]},
)  # fmt: skip

Request = tuple[bytes, bytes]
"""A request's header section, and its body."""
Random = random.Random


def request(method: str, target: str, headers: list[str], body: bytes = b"") -> Request:
    lines = [f"{method} {target} HTTP/1.1", "host: 127.0.0.1", "connection: close", *headers]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n", body


def part(content_type: str, content: bytes, *more: str) -> bytes:
    head = "\r\n".join([f"Content-Type: {content_type}", *more]).encode()
    return b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def reading(chance: Random) -> Request:
    headers = chance.sample(HEADERS, chance.randrange(4))
    return request(chance.choice(["GET"] * 8 + ["HEAD", "OPTIONS"]), chance.choice(GETS), headers)


def storing_files(chance: Random) -> Request:
    body = b"".join(part("application/dicom", FILE) for _ in range(chance.randrange(1, 3)))
    return request(
        "POST",
        ELSEWHERE,
        ['content-type: multipart/related; type="application/dicom"; boundary=b'],
        body + b"--b--\r\n",
    )


def storing_metadata(chance: Random) -> Request:
    metadata = json.loads(json.dumps([METADATA]))
    for _ in range(chance.randrange(3)):
        metadata[0][chance.choice([*METADATA, "zz", "0010001"])] = chance.choice(ODD_VALUES)
    if chance.random() < 0.1:
        metadata = chance.choice(ODD_VALUES)
    body = (
        part("application/dicom+json", json.dumps(metadata).encode())
        + part("application/octet-stream", bytes(64), "Content-Location: pixels")
        + b"--b--\r\n"
    )
    kind = 'content-type: multipart/related; type="application/dicom+json"; boundary=b'
    return request("POST", ELSEWHERE, [kind], body)


def storing_xml(chance: Random) -> Request:
    document = (
        b'<?xml version="1.0"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/'
        b'NativeDICOM"><DicomAttribute tag="0020000D" vr="UI" keyword="StudyInstanceUID">'
        b'<Value number="1">1.2.3.9</Value></DicomAttribute></NativeDicomModel>'
    )
    if chance.random() < 0.3:
        document = document.replace(
            b"?>", b'?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>', 1
        ).replace(b"1.2.3.9", b"&b;")
    kind = 'content-type: multipart/related; type="application/dicom+xml"; boundary=b'
    return request(
        "POST", ELSEWHERE, [kind], part("application/dicom+xml", document) + b"--b--\r\n"
    )


def deleting(chance: Random) -> Request:
    """Of what is not there: what is there has to stay."""
    target = f"{ELSEWHERE}/series/2.25.1{chance.randrange(10**9)}"
    return request("DELETE", target, [])


def flipped(chance: Random, data: bytes) -> bytes:
    mutable = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if mutable:
            mutable[chance.randrange(len(mutable))] ^= 1 << chance.randrange(8)
    return bytes(mutable)


def spliced(chance: Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    upto = min(len(data), at + chance.choice((0, 0, 1, 4, 40)))
    return data[:at] + chance.choice(TOKENS) + data[upto:]


def repeated(chance: Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    piece = data[at : at + chance.randrange(1, 60)]
    return data[:at] + piece * chance.choice((2, 2, 3, 50)) + data[at:]


def cut(chance: Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def noise(chance: Random, data: bytes) -> bytes:
    return chance.randbytes(chance.randrange(len(data) + 40))


MUTATIONS = (flipped, spliced, repeated, cut, noise)


def target_mutated(chance: Random, header: bytes, body: bytes) -> bytes:
    line, rest = header.split(b"\r\n", 1)
    method, target, version = line.split(b" ")
    target = chance.choice((spliced, repeated, cut, flipped))(chance, target).replace(b" ", b"+")
    return b" ".join((method, target, version)) + b"\r\n" + rest + body


def body_mutated(chance: Random, header: bytes, body: bytes) -> bytes:
    """A body that is wrong in itself: its length is told rightly."""
    mutated = chance.choice(MUTATIONS)(chance, body)
    told, now = (f"content-length: {len(one)}".encode() for one in (body, mutated))
    return header.replace(told, now) + mutated


def header_mutated(chance: Random, header: bytes, body: bytes) -> bytes:
    lines = header.split(b"\r\n")
    at = chance.randrange(1, len(lines) - 2) if len(lines) > 3 else 1
    lines[at] = chance.choice((spliced, repeated, cut, flipped))(chance, lines[at])
    return b"\r\n".join(lines) + body


def framing_mutated(chance: Random, header: bytes, body: bytes) -> bytes:
    odd = chance.choice(
        (
            b"content-length: -1", b"content-length: 99999999999999999999", b"content-length: 1e3",
            b"content-length: 5\r\ncontent-length: 6", b"transfer-encoding: chunked",
            b"transfer-encoding: gzip", b"transfer-encoding: chunked\r\ncontent-length: 3",
            b"host: a b", b"host:", b"x: " + b"y" * 70_000, b"\r\n".join([b"x: y"] * 300),
            b"upgrade: websocket\r\nconnection: upgrade", b"expect: 200-maybe", b" folded: x",
            b"content-encoding: gzip", b"content-encoding: zstd", b"\0: \0", b"no colon",
        )
    )  # fmt: skip
    chunks = chance.choice(
        (b"", b"5\r\nabcde\r\n0\r\n\r\n", b"zz\r\n", b"FFFFFFFFFFFFFFFF\r\n", b"-1\r\n")
    )
    return header[:-2] + odd + b"\r\n\r\n" + body + chunks


def raw_mutated(chance: Random, header: bytes, body: bytes) -> bytes:
    return chance.choice(MUTATIONS)(chance, header + body)


def of_another_protocol(chance: Random, header: bytes, body: bytes) -> bytes:
    del header, body
    return chance.choice(
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(64),
            b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00PACS" + bytes(60),
            b"GET /\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET  HTTP/1.1\r\nhost: x\r\n\r\n",
            b"BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n",
            b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET http://[::1/studies HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET http://x/dicom-web/studies HTTP/1.0\r\n\r\n",
            chance.randbytes(chance.randrange(1, 400)),
            b"\r\n" * 40,
        )
    )


KINDS: tuple[Callable[[Random], Request], ...] = (
    reading, reading, reading, storing_files, storing_metadata, storing_xml, deleting,
)  # fmt: skip
WAYS: tuple[Callable[[Random, bytes, bytes], bytes], ...] = (
    target_mutated, target_mutated, body_mutated, body_mutated, header_mutated, framing_mutated,
    raw_mutated, of_another_protocol,
)  # fmt: skip


def malformed(chance: Random) -> bytes:
    header, body = chance.choice(KINDS)(chance)
    way = chance.choice(WAYS)
    if way is body_mutated and not body:
        way = target_mutated
    made = way(chance, header, body)
    # A mutation may not end in a valid request that stores or deletes something.
    first = made.split(b"\r\n", 1)[0]
    if first.startswith((b"POST", b"DELETE")) and b"/studies/2.25.9999" not in first:
        return made.replace(b"POST", b"P0ST", 1).replace(b"DELETE", b"DELET", 1)
    return made


async def asked(host: str, port: int, sent: bytes) -> bytes:
    """Return what comes back, b"" for no answer."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(FIRST_BYTE_S):
            answer = await reader.read(4096)
        # The rest, as far as it matters; a connection that is kept open ends nothing.
        while len(answer) < 4096 and (more := await rest_of(reader)):
            answer += more
        return answer
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.close()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(0.2):
            return await reader.read(4096)
    except (TimeoutError, ConnectionError):
        return b""


def status_of(answer: bytes) -> int:
    version, _, rest = answer.partition(b" ")
    assert version == b"HTTP/1.1", answer[:200]
    return int(rest[:3])


async def ask_all(base: str, count: int) -> Counter[int]:
    where = urlsplit(base)
    chance = Random(SEED)
    statuses: Counter[int] = Counter()
    wrong: list[tuple[bytes, bytes]] = []
    waiting = iter([malformed(chance) for _ in range(count)])

    async def ask_some() -> None:
        for sent in waiting:
            answer = await asked(str(where.hostname), int(where.port or 80), sent)
            status = status_of(answer) if answer else 0
            statuses[status] += 1
            is_reasoned = (
                status in {501, 503, 505} and b"problem+json" in answer and b'"detail"' in answer
            )
            if status >= 500 and not is_reasoned:
                wrong.append((sent[:600], answer[:600]))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(ask_some())
    assert not wrong, wrong[:3]
    return statuses


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setenv("PACS_WEB_PROCESSES", "1")
    log = tmp_path / "log"
    with running(tmp_path / "data", log=log) as started:
        body = b"".join(
            part("application/dicom", file)
            for file in (
                make_instance("1.2.3.1.1.1", rows=16, frames=3),
                make_instance("1.2.3.1.1.2", rows=16),
            )
        )
        stored = httpx.post(
            f"{started.http}/dicom-web/studies",
            content=body + b"--b--\r\n",
            headers={"content-type": "multipart/related; type=application/dicom; boundary=b"},
        )
        assert stored.status_code == 200, stored.text
        yield started
    assert fsck(tmp_path / "data") == (0, [])
    said = log.read_text(errors="replace")
    assert "request_failed" not in said, said[said.index("request_failed") - 200 :][:2000]
    assert "Traceback" not in said, said[said.index("Traceback") :][:3000]


def state_of(archive: Archive) -> list[bytes]:
    """Return what the archive holds, as its readers see it."""
    base = f"{archive.http}/dicom-web"
    searches = [f"{base}/{level}?includefield=all" for level in ("studies", "series", "instances")]
    file = f"{base}/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1"
    accept = {"accept": "application/dicom; transfer-syntax=*"}
    return [httpx.get(url, headers={"accept": "application/json"}).content for url in searches] + [
        httpx.get(file, headers=accept).content
    ]


def run(archive: Archive, count: int, growth_bytes: int) -> None:
    before = state_of(archive)
    (web,) = archive.web_pids
    asyncio.run(ask_all(archive.http, count // 5))  # code is loaded, caches and pools are filled
    warm = resident_bytes(web)
    statuses = asyncio.run(ask_all(archive.http, count))
    grown = resident_bytes(web) - warm
    print(f"{count} requests: {dict(sorted(statuses.items()))}; {grown / 2**20:+.1f} MiB")
    assert statuses.total() == count
    assert statuses[0] < count // 4, "too many without an answer"
    assert statuses[400] > count // 10
    assert grown < growth_bytes, f"{grown / 2**20:.1f} MiB more"
    assert archive.web_pids == {web}, "the web process was started again"
    assert state_of(archive) == before


def test_some_malformed_requests(archive: Archive) -> None:
    run(archive, 500, 48 << 20)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ten_thousand_malformed_requests(archive: Archive) -> None:
    run(archive, 10_000, 48 << 20)
