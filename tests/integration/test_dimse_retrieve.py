"""C-MOVE and C-GET through the real server: levels, counts, fallbacks, what fails."""

import asyncio
import resource
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from dimse_archive import (
    CT,
    EXPLICIT,
    IMPLICIT,
    PATIENT_GET,
    PATIENT_MOVE,
    STUDY_GET,
    STUDY_MOVE,
    Got,
    Running,
    destination,
    elements_of,
    get,
    identifier_of,
    instance,
    long_head,
    move,
    real_instances,
    running,
)
from dimse_wire import serving
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import RLELossless
from pynetdicom import AllStoragePresentationContexts, build_context, evt

from pacs_cloud.dimse.command import CommandField
from pacs_cloud.dimse.negotiation import Offer, Proposal, Repertoire
from pacs_cloud.dimse.requestor import Instance, Peer, connect, store
from pacs_cloud.dimse.service import Operation, Response
from pacs_cloud.errors import PacsError
from pacs_cloud.settings import Destination
from patience import PATIENCE_S

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydicom"),
]

SR = "1.2.840.10008.5.1.4.1.1.88.11"


def stored() -> list[Dataset]:
    """Two studies of P1: one of series with two and one instances, one with one; one of P2."""
    return [
        instance(1),
        instance(2),
        instance(3, SeriesInstanceUID="1.2.3.5"),
        instance(4, StudyInstanceUID="1.2.30", SeriesInstanceUID="1.2.30.1"),
        instance(5, StudyInstanceUID="1.2.40", SeriesInstanceUID="1.2.40.1", PatientID="P2"),
    ]


async def fill(archive: Running, datasets: list[Dataset]) -> None:
    assert set(await archive.store(*datasets)) == {0}
    for dataset in datasets:
        assert await archive.searchable(str(dataset.SOPInstanceUID))


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as one:
        await fill(one, stored())
        yield one


SELECTIONS = [
    ("PATIENT", {"PatientID": "P1"}, [1, 2, 3, 4]),
    ("STUDY", {"PatientID": "P1", "StudyInstanceUID": "1.2.3"}, [1, 2, 3]),
    ("STUDY", {"StudyInstanceUID": ["1.2.3", "1.2.40"]}, [1, 2, 3, 5]),
    ("STUDY", {"PatientID": "P2", "StudyInstanceUID": "1.2.3"}, []),
    ("SERIES", {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}, [1, 2]),
    ("SERIES", {"SeriesInstanceUID": ["1.2.3.5", "1.2.30.1"]}, [3, 4]),
    ("IMAGE", {"StudyInstanceUID": "1.2.3", "SOPInstanceUID": ["1.2.3.4.2", "1.2.3.4.3"]}, [2, 3]),
    ("IMAGE", {"SOPInstanceUID": "1.2.3.4.5"}, [5]),
    ("IMAGE", {"SOPInstanceUID": "1.2.3.4.99"}, []),
]


@pytest.mark.parametrize(("level", "keys", "numbers"), SELECTIONS)
async def test_get_brings_what_is_named(
    archive: Running, level: str, keys: dict[str, object], numbers: list[int]
) -> None:
    identifier = identifier_of(level, **keys)
    got = await asyncio.to_thread(
        get, archive, PATIENT_GET, identifier, [build_context(CT, EXPLICIT)]
    )
    assert sorted(got.by_uid) == [f"1.2.3.4.{number}" for number in numbers]
    assert got.status == 0
    last, nothing = got.responses[-1]
    assert nothing is None
    assert last.NumberOfCompletedSuboperations == len(numbers)
    assert last.NumberOfFailedSuboperations == last.NumberOfWarningSuboperations == 0
    assert "NumberOfRemainingSuboperations" not in last
    remaining = [answer.NumberOfRemainingSuboperations for answer, _ in got.responses[:-1]]
    assert remaining == list(range(len(numbers) - 1, 0, -1))


@pytest.mark.parametrize(("level", "keys", "numbers"), SELECTIONS)
async def test_move_brings_what_is_named(
    tmp_path: Path, level: str, keys: dict[str, object], numbers: list[int]
) -> None:
    seen: list[tuple[str, str, int, str]] = []

    def answer(event: evt.Event) -> int:
        request = event.request
        seen.append(
            (
                request.AffectedSOPInstanceUID,
                request.MoveOriginatorApplicationEntityTitle,
                request.MoveOriginatorMessageID,
                event.assoc.requestor.ae_title,
            )
        )
        return 0

    with destination([build_context(CT, EXPLICIT)], answer) as port:
        peers = (Destination(aet="THERE", host="127.0.0.1", port=port),)
        async with running(tmp_path, destinations=peers) as archive:
            await fill(archive, stored())
            identifier = identifier_of(level, **keys)
            got = await asyncio.to_thread(move, archive, PATIENT_MOVE, identifier, "THERE")
    assert sorted(uid for uid, *_ in seen) == [f"1.2.3.4.{number}" for number in numbers]
    assert {tuple(rest) for _, *rest in seen} <= {("THEIRS", 1, "PACS")}
    assert got.status == 0
    assert got.responses[-1][0].NumberOfCompletedSuboperations == len(numbers)


async def test_an_unknown_destination(archive: Running) -> None:
    identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
    got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "NOWHERE")
    assert got.status == 0xA801


async def test_a_destination_that_is_away(tmp_path: Path) -> None:
    with destination([build_context(CT)], lambda _: 0) as port:
        pass
    peers = (Destination(aet="AWAY", host="127.0.0.1", port=port),)
    async with running(tmp_path, destinations=peers) as archive:
        await fill(archive, stored())
        identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
        got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "AWAY")
    last, failed = got.responses[-1]
    assert last.Status == 0xA702
    assert last.NumberOfFailedSuboperations == 3
    assert failed is not None
    assert sorted(failed.FailedSOPInstanceUIDList) == ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"]


@pytest.mark.parametrize(
    ("model", "level", "keys"),
    [
        (STUDY_GET, "STUDY", {"StudyInstanceUID": ""}),
        (STUDY_GET, "SERIES", {"StudyInstanceUID": "1.2.3"}),
        (STUDY_GET, "PATIENT", {"PatientID": "P1"}),
        (PATIENT_GET, "PATIENT", {"PatientID": "P*"}),
        (STUDY_GET, "STUDY", {"StudyInstanceUID": "1.2.*"}),
    ],
)
async def test_a_wrong_identifier_is_refused(
    archive: Running, model: str, level: str, keys: dict[str, str]
) -> None:
    identifier = identifier_of(level, **keys)
    got = await asyncio.to_thread(get, archive, model, identifier, [build_context(CT, EXPLICIT)])
    assert got.status == 0xA900
    assert not got.stored


async def test_refusals_and_warnings_are_counted(archive: Running) -> None:
    def answer(got: Got, event: evt.Event) -> int:
        got.keep(event)
        answers = {"1.2.3.4.1": 0xA700, "1.2.3.4.2": 0xB007}
        return answers.get(event.request.AffectedSOPInstanceUID, 0)

    identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
    got = await asyncio.to_thread(
        get, archive, STUDY_GET, identifier, [build_context(CT, EXPLICIT)], answer
    )
    last, failed = got.responses[-1]
    assert last.Status == 0xB000
    assert last.NumberOfCompletedSuboperations == 1
    assert last.NumberOfWarningSuboperations == 1
    assert last.NumberOfFailedSuboperations == 1
    assert failed is not None
    assert failed.FailedSOPInstanceUIDList == "1.2.3.4.1"


async def test_a_peer_without_a_context_for_a_class(archive: Running) -> None:
    identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
    got = await asyncio.to_thread(
        get, archive, STUDY_GET, identifier, [build_context(SR, EXPLICIT)]
    )
    last, failed = got.responses[-1]
    assert last.Status == 0xA702
    assert last.NumberOfFailedSuboperations == 3
    assert failed is not None
    assert len(failed.FailedSOPInstanceUIDList) == 3


async def test_cancel_ends_a_get(archive: Running) -> None:
    many = [
        instance(n, StudyInstanceUID="1.2.50", SeriesInstanceUID="1.2.50.1")
        for n in range(100, 300)
    ]
    await fill(archive, many)

    def answer(got: Got, event: evt.Event) -> int:
        got.keep(event)
        if len(got.stored) == 3:
            event.assoc.send_c_cancel(1, query_model=STUDY_GET)
        return 0

    identifier = identifier_of("STUDY", StudyInstanceUID="1.2.50")
    got = await asyncio.to_thread(
        get, archive, STUDY_GET, identifier, [build_context(CT, EXPLICIT)], answer
    )
    last, _ = got.responses[-1]
    assert last.Status == 0xFE00
    assert 3 <= len(got.stored) < 200
    assert last.NumberOfCompletedSuboperations == len(got.stored)
    assert last.NumberOfRemainingSuboperations == 200 - len(got.stored)


FALLBACKS = [
    "MR2_J2KI.dcm",
    "RG3_J2KR.dcm",
    "emri_small_jpeg_2k_lossless.dcm",
    "CT1_JLSN.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "OBXXXX1A_rle.dcm",
    "SC_rgb_rle_2frame.dcm",
    "JPEG-LL.dcm",
    "JPEGLosslessP14SV1_1s_1f_u_08_08.dcm",
    "liver_expb_1frame.dcm",
    "image_dfl.dcm",
]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
async def test_a_peer_that_takes_one_syntax_gets_the_same_pixels(
    archive: Running, real_data: Path, syntax: str
) -> None:
    datasets = [dcmread(real_data / "single" / name) for name in FALLBACKS]
    await fill(archive, datasets)
    studies = sorted({str(one.StudyInstanceUID) for one in datasets})
    identifier = identifier_of("STUDY", StudyInstanceUID=studies)
    contexts = [build_context(str(one.SOPClassUID), syntax) for one in datasets]
    contexts = list({str(one.abstract_syntax): one for one in contexts}.values())
    got = await asyncio.to_thread(get, archive, STUDY_GET, identifier, contexts)
    assert got.status == 0, got.responses[-1]
    by_uid = got.by_uid
    for one in datasets:
        other = by_uid[str(one.SOPInstanceUID)]
        assert other.file_meta.TransferSyntaxUID == syntax
        if "PixelData" in one:
            assert (other.pixel_array == one.pixel_array).all(), one.filename


async def test_a_move_decompresses_only_what_the_destination_does_not_take(
    tmp_path: Path, real_data: Path
) -> None:
    datasets = [
        dcmread(real_data / "single" / name) for name in ("MR2_J2KI.dcm", "OBXXXX1A_rle.dcm")
    ]
    taken: dict[str, tuple[str, Dataset]] = {}

    def answer(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        taken[str(dataset.SOPInstanceUID)] = (str(event.context.transfer_syntax), dataset)
        return 0

    j2k = str(datasets[0].file_meta.TransferSyntaxUID)
    contexts = [
        build_context(str(datasets[0].SOPClassUID), [j2k, IMPLICIT]),
        build_context(str(datasets[1].SOPClassUID), IMPLICIT),
    ]
    with destination(contexts, answer) as port:
        peers = (Destination(aet="THERE", host="127.0.0.1", port=port),)
        async with running(tmp_path, destinations=peers) as archive:
            await fill(archive, datasets)
            studies = [str(one.StudyInstanceUID) for one in datasets]
            identifier = identifier_of("STUDY", StudyInstanceUID=studies)
            got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "THERE")
    assert got.status == 0
    syntax, same = taken[str(datasets[0].SOPInstanceUID)]
    assert syntax == j2k
    assert elements_of(same) == elements_of(datasets[0])
    syntax, decompressed = taken[str(datasets[1].SOPInstanceUID)]
    assert syntax == IMPLICIT
    assert (decompressed.pixel_array == datasets[1].pixel_array).all()


async def test_a_destination_that_aborts_gets_the_rest_over_another_association(
    tmp_path: Path,
) -> None:
    taken: list[str] = []
    aborted = threading.Event()

    def answer(event: evt.Event) -> int:
        if len(taken) == 2 and not aborted.is_set():
            aborted.set()
            event.assoc.abort()
            return 0
        taken.append(event.request.AffectedSOPInstanceUID)
        return 0

    with destination([build_context(CT, EXPLICIT)], answer) as port:
        peers = (Destination(aet="THERE", host="127.0.0.1", port=port),)
        async with running(tmp_path, destinations=peers) as archive:
            await fill(archive, [instance(n) for n in range(1, 7)])
            identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
            got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "THERE")
    last, failed = got.responses[-1]
    assert last.Status == 0xB000
    assert last.NumberOfCompletedSuboperations == 5
    assert failed is not None
    assert len(taken) == 5
    assert failed.FailedSOPInstanceUIDList not in taken


async def test_more_contexts_than_an_association_has(tmp_path: Path) -> None:
    classes = [str(one.abstract_syntax) for one in AllStoragePresentationContexts][:70]
    datasets = [
        instance(number, SOPClassUID=sop_class) for number, sop_class in enumerate(classes, 1)
    ]
    taken: list[str] = []
    associations: set[int] = set()

    def answer(event: evt.Event) -> int:
        taken.append(event.request.AffectedSOPInstanceUID)
        associations.add(id(event.assoc))
        return 0

    contexts = [build_context(one, EXPLICIT) for one in classes]
    with destination(contexts, answer) as port:
        peers = (Destination(aet="THERE", host="127.0.0.1", port=port),)
        async with running(tmp_path, destinations=peers) as archive:
            await fill(archive, datasets)
            identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
            got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "THERE")
    assert got.status == 0
    assert len(set(taken)) == 70
    assert len(associations) == 2


async def test_all_real_files_move(tmp_path: Path, real_data: Path) -> None:
    datasets = real_instances(real_data / "single")
    taken: dict[str, Dataset] = {}

    def answer(event: evt.Event) -> int:
        taken[event.request.AffectedSOPInstanceUID] = event.dataset
        return 0

    supported: dict[str, list[str]] = {}
    for one in datasets:
        supported.setdefault(str(one.SOPClassUID), []).append(str(one.file_meta.TransferSyntaxUID))
    contexts = [build_context(name, sorted(set(names))) for name, names in supported.items()]
    with destination(contexts, answer) as port:
        peers = (Destination(aet="THERE", host="127.0.0.1", port=port),)
        async with running(tmp_path, destinations=peers) as archive:
            await fill(archive, datasets)
            studies = sorted({str(one.StudyInstanceUID) for one in datasets})
            identifier = identifier_of("STUDY", StudyInstanceUID=studies)
            got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "THERE")
    assert got.status == 0, got.responses[-1]
    for one in datasets:
        assert elements_of(taken[str(one.SOPInstanceUID)]) == elements_of(one), one.filename


async def test_dcmtk_gets(archive: Running, tmp_path: Path, dcmtk: Callable[[str], str]) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    command = [dcmtk("getscu"), "-S", "-aec", "PACS", "-od", str(folder)]
    command += ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"]
    command += ["127.0.0.1", str(archive.port)]
    await asyncio.to_thread(subprocess.run, command, check=True, timeout=PATIENCE_S)
    uids = {dcmread(path).SOPInstanceUID for path in folder.iterdir()}
    assert uids == {"1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"}


async def test_dcmtk_moves_to_dcmtk(tmp_path: Path, dcmtk: Callable[[str], str]) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    with destination([build_context(CT)], lambda _: 0) as port:
        pass  # a port that is free now
    movescu = dcmtk("movescu")
    peers = (Destination(aet="MOVER", host="127.0.0.1", port=port),)
    async with running(tmp_path / "data", destinations=peers) as archive:
        await fill(archive, stored())
        command = [movescu, "-S", "-aec", "PACS", "-aet", "MOVER", "-aem", "MOVER"]
        command += ["+P", str(port), "-od", str(folder)]
        command += ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"]
        command += ["127.0.0.1", str(archive.port)]
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=PATIENCE_S)
    uids = {dcmread(path).SOPInstanceUID for path in folder.iterdir()}
    assert uids == {"1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"}


def long_rle(number: int, *, broken_frame: int | None = None) -> Dataset:
    """Return 24 MiB of pixels, run-length encoded; frame `broken_frame` is cut."""
    frames = np.random.default_rng(number).integers(0, 4000, (48, 512, 512), dtype=np.uint16)
    dataset = instance(number, Rows=512, Columns=512, NumberOfFrames=48)
    dataset.PixelData = frames.tobytes()
    dataset.compress(RLELossless, generate_instance_uid=False)
    if broken_frame is not None:
        whole = list(generate_frames(dataset.PixelData, number_of_frames=48))
        whole[broken_frame] = whole[broken_frame][:1000]
        dataset.PixelData = encapsulate(whole)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize(("broken_frame", "failed"), [(None, 0), (2, 1), (47, 1)])
async def test_long_instances_are_decompressed_as_they_go(
    tmp_path: Path, broken_frame: int | None, failed: int
) -> None:
    datasets = [instance(1), long_rle(2), long_rle(3, broken_frame=broken_frame), instance(4)]
    taken: dict[str, Dataset] = {}

    def answer(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        taken[event.request.AffectedSOPInstanceUID] = dataset
        return 0

    with destination([build_context(CT, IMPLICIT)], answer) as port:
        peers = (Destination(aet="THERE", host="127.0.0.1", port=port),)
        async with running(tmp_path, destinations=peers) as archive:
            await fill(archive, datasets)
            identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
            got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "THERE")
    last, uids = got.responses[-1]
    assert last.NumberOfFailedSuboperations == failed
    assert last.NumberOfCompletedSuboperations == len(taken) == 4 - failed
    if failed:
        assert uids is not None
        assert uids.FailedSOPInstanceUIDList == "1.2.3.4.3"
    for one in datasets:
        if (other := taken.get(str(one.SOPInstanceUID))) is not None:
            assert (other.pixel_array == one.pixel_array).all()


class Counting:
    """A C-STORE service that counts bytes."""

    def __init__(self) -> None:
        self.length_bytes = 0

    def open(self, operation: Operation) -> "Counting":
        return self

    def write(self, piece: memoryview) -> None:
        self.length_bytes += len(piece)

    def abort(self) -> None:
        raise AssertionError("it must not break off")

    async def complete(self, operation: Operation, sink: "Counting") -> Response:
        return Response(0)

    def failure(self, error: PacsError) -> Response:
        return Response(0x0110)


async def test_a_long_instance_moves_at_bounded_memory(tmp_path: Path) -> None:
    counting = Counting()
    offers = Repertoire({CT: Offer(None, {CommandField.C_STORE: counting})})
    head, pixels = long_head(300 << 20), 300 << 20

    async def data_set() -> AsyncIterator[bytes]:
        yield head
        for _ in range(pixels >> 20):
            yield bytes(1 << 20)

    async with serving(offers) as server:
        peers = (Destination(aet="THERE", host="127.0.0.1", port=server.address[1]),)
        async with running(tmp_path, destinations=peers) as archive:
            association = await connect(
                Peer("PACS", "127.0.0.1", archive.port), "OURS", [Proposal(CT, (EXPLICIT,))]
            )
            sent = Instance(CT, "1.2.3.4.1", EXPLICIT, data_set())
            assert (await store(association, sent)).status == 0
            await association.release()
            assert await archive.searchable("1.2.3.4.1")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
            got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "THERE")
            grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert got.status == 0
    assert counting.length_bytes == len(head) + pixels
    assert grown_kib < 100 << 10
