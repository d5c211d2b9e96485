"""The DICOM process over the embedded stores, in this process, and pynetdicom as its peer."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pydicom
from pydicom import DataElement, Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association as TheirAssociation
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import PresentationContext

from pacs_cloud.bootstrap.dimse_role import serve_dimse
from pacs_cloud.bootstrap.ports import Reservation
from pacs_cloud.bootstrap.services import Stores, open_stores
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.settings import Address, Settings
from patience import PATIENCE_S

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{n}" for n in (1, 2, 3))
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
"""What is asked for is 300 ms after the release; a shared machine may be busy."""

T = TypeVar("T")


@dataclass(frozen=True)
class Running:
    """A served archive."""

    port: int
    settings: Settings
    stores: Stores

    @property
    def catalogue(self) -> Catalogue:
        return self.stores.catalogue

    def associate(self, contexts: Iterable[PresentationContext], **more: Any) -> TheirAssociation:
        """Return an association of pynetdicom's; call it in a thread."""
        ae = AE("THEIRS")
        ae.requested_contexts = list(contexts)
        association = ae.associate("127.0.0.1", self.port, ae_title="PACS", **more)
        assert association.is_established, "no association"
        return association

    async def store(self, *datasets: Dataset) -> list[int]:
        """Store over one association by pynetdicom; return the statuses."""
        return await asyncio.to_thread(self._store, datasets)

    def _store(self, datasets: Sequence[Dataset]) -> list[int]:
        association = self.associate(contexts_of(datasets))
        statuses = [association.send_c_store(one).Status for one in datasets]
        association.release()
        return statuses

    async def find(
        self, model: str, level: str, extended: bytes = b"", **keys: Any
    ) -> list[tuple[int, Dataset | None]]:
        """Search by pynetdicom; return every response."""
        identifier = identifier_of(level, **keys)
        return await asyncio.to_thread(self._find, model, identifier, extended)

    async def matches(
        self, model: str, level: str, extended: bytes = b"", **keys: Any
    ) -> list[Dataset]:
        """Search, and return the matches; all must have come to a good end."""
        *found, (last, nothing) = await self.find(model, level, extended, **keys)
        assert (last, nothing) == (0, None)
        assert all(status in {0xFF00, 0xFF01} for status, _ in found)
        return [dataset for _, dataset in found if dataset is not None]

    def _find(
        self, model: str, identifier: Dataset, extended: bytes
    ) -> list[tuple[int, Dataset | None]]:
        more = {"ext_neg": [extended_item(model, extended)]} if extended else {}
        association = self.associate([build_context(model)], **more)
        found = [
            (status.Status, dataset)
            for status, dataset in association.send_c_find(identifier, model)
        ]
        association.release()
        return found

    async def searchable(self, sop_instance_uid: str, within_s: float = PATIENCE_S) -> bool:
        """Say whether an instance is visible soon."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while loop.time() < until:
            if await self.is_visible(sop_instance_uid):
                return True
            await asyncio.sleep(0.01)
        return False

    async def is_visible(self, sop_instance_uid: str) -> bool:
        """Say whether an instance is in a committed pack; its UID alone may be there before."""
        tenant = self.settings.tenant
        found = await self.catalogue.find_uids(tenant, [sop_instance_uid])
        for ref in found.get(sop_instance_uid, ()):
            packs = await self.catalogue.packs(
                tenant, ref.study_instance_uid, ref.series_instance_uid
            )
            if any(pack.pack_id == ref.pack_id for pack in packs):
                return True
        return False


@dataclass
class Got:
    """What a C-GET or C-MOVE brought."""

    responses: list[tuple[Dataset, Dataset | None]] = field(default_factory=list)
    stored: list[Dataset] = field(default_factory=list)
    encoded: dict[str, bytes] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return self.responses[-1][0].Status

    @property
    def by_uid(self) -> dict[str, Dataset]:
        return {str(one.SOPInstanceUID): one for one in self.stored}

    def keep(self, event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.stored.append(dataset)
        self.encoded[event.request.AffectedSOPInstanceUID] = event.request.DataSet.getvalue()
        return 0


def get(
    running: Running,
    model: str,
    identifier: Dataset,
    contexts: Sequence[PresentationContext],
    answer: Callable[[Got, evt.Event], int] = Got.keep,
) -> Got:
    """Retrieve by pynetdicom over one association; call it in a thread."""
    got = Got()
    classes = {str(context.abstract_syntax) for context in contexts}
    association = running.associate(
        [*contexts, build_context(model)],
        ext_neg=[build_role(one, scp_role=True) for one in classes],
        evt_handlers=[(evt.EVT_C_STORE, lambda event: answer(got, event))],
    )
    got.responses += association.send_c_get(identifier, model)
    association.release()
    return got


def move(running: Running, model: str, identifier: Dataset, destination: str) -> Got:
    """Ask for a C-MOVE by pynetdicom; call it in a thread."""
    got = Got()
    association = running.associate([build_context(model)])
    got.responses += association.send_c_move(identifier, destination, model)
    association.release()
    return got


@contextmanager
def destination(
    contexts: Iterable[PresentationContext], answer: Callable[[evt.Event], int]
) -> Iterator[int]:
    """Be a storage SCP of pynetdicom's on the yielded port."""
    ae = AE("THEIRS")
    ae.supported_contexts = list(contexts)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)]
    )
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[Running]:
    reservation = Reservation(Address(host="127.0.0.1", port=0))
    settings = Settings(data=folder, dimse=reservation.address, stop_grace_s=2, **more)
    try:
        async with (
            open_stores(settings, create=True) as stores,
            serve_dimse(settings, stores),
        ):
            yield Running(reservation.address.port, settings, stores)
    finally:
        reservation.close()


def contexts_of(datasets: Iterable[Dataset]) -> list[PresentationContext]:
    """Return a context for each class and transfer syntax, as stored."""
    pairs = {(str(one.SOPClassUID), str(one.file_meta.TransferSyntaxUID)): None for one in datasets}
    return [build_context(sop_class, syntax) for sop_class, syntax in pairs]


def extended_item(model: str, information: bytes) -> Any:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = model
    item.service_class_application_information = information
    return item


def identifier_of(level: str, **keys: Any) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def instance(number: int = 1, **more: Any) -> Dataset:
    """Return a small CT instance: 1.2.3 has all of them unless `more` says otherwise."""
    dataset = Dataset()
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = f"1.2.3.4.{number}"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.4"
    dataset.PatientID = "P1"
    dataset.PatientName = "DOE^JANE"
    dataset.PatientBirthDate = "19700101"
    dataset.StudyDate = "20240102"
    dataset.StudyTime = "101112"
    dataset.Modality = "CT"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = number
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes(range(128))
    dataset["PixelData"].VR = "OW"
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT
    return dataset


def encoded(dataset: Dataset) -> bytes:
    """Return an Explicit VR Little Endian data set's bytes."""
    return encode(dataset, is_implicit_vr=False, is_little_endian=True)


def long_head(pixel_bytes: int) -> bytes:
    """Return a data set up to its pixel data, which has yet to follow."""
    beginning = encoded(instance(1, PixelData=b""))
    head = beginning[: beginning.rindex(b"\xe0\x7f\x10\x00")]
    return head + b"\xe0\x7f\x10\x00OW\0\0" + pixel_bytes.to_bytes(4, "little")


def real_instances(folder: Path) -> list[Dataset]:
    """Return the readable files of the real data."""
    return [_read(path) for path in sorted(folder.rglob("*.dcm")) if "malformed" not in path.parts]


def instances_of_pydicom() -> list[Dataset]:
    """Return pydicom's own test files that are instances, each with a UID of its own."""
    found: list[Dataset] = []
    for number, path in enumerate(sorted((Path(pydicom.__file__).parent / "data").rglob("*.dcm"))):
        try:
            dataset = _read(path)
            uids = dataset.SOPClassUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID
        except Exception:  # noqa: BLE001 - what pydicom itself cannot read is no sample
            continue
        if all(uids) and dataset.file_meta.TransferSyntaxUID:
            dataset.SOPInstanceUID = f"1.2.999.{number}"
            found.append(dataset)
    return found


def _read(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(path)
        dataset.walk(lambda _, element: element.value)  # decode everything while warnings are off
    return dataset


def elements_of(dataset: Dataset) -> dict[int, object]:
    """Return what a data set says, without group lengths and padding."""
    return {
        int(element.tag): _value_of(element)
        for element in dataset
        if element.tag.element != 0 and element.tag != 0xFFFCFFFC
    }


def _value_of(element: DataElement) -> object:
    value = element.value
    if element.VR == "SQ":
        return [elements_of(item) for item in value]
    # pydicom, which encoded it for its way here, made its length even.
    return value + b"\0" if isinstance(value, bytes) and len(value) % 2 else value
