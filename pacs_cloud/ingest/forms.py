"""The two forms in which an instance arrives: a bare data set, or a Part 10 file."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pacs_cloud.dicom.part10 import FileMeta, encode_file_meta, read_file_meta
from pacs_cloud.errors import InvalidInstance, Refusal
from pacs_cloud.ingest.admission import Admission, Admitted, Claim, View


class Layout(NamedTuple):
    """How the received bytes become a Part 10 file.

    Attributes:
        prefix: what goes before them.
        skip: how many of them come before the data set.
        meta: what they say before it, None where that is in `prefix`.
    """

    prefix: bytes
    skip: int
    meta: FileMeta | None = None

    @property
    def dataset_offset(self) -> int:
        """Where the data set begins in the file."""
        return len(self.prefix) + self.skip


class Form(Protocol):
    """How the bytes of one reception are to be read."""

    def transfer_syntax_uid(self, layout: Layout) -> str:
        """Return how the data set is encoded, as its sender says."""
        ...

    def layout(self, start: View) -> Layout:
        """Return the layout, given the first received bytes; raises InvalidInstance."""
        ...

    def admit(self, admission: Admission, layout: Layout, dataset: View) -> Admitted:
        """Check the instance; raises InvalidInstance."""
        ...


@dataclass(frozen=True, slots=True)
class DatasetForm:
    """A C-STORE's data set: the file meta information before it is ours (PS3.10 7.1)."""

    claim: Claim

    def transfer_syntax_uid(self, layout: Layout) -> str:
        """Return what the request said."""
        del layout
        return self.claim.transfer_syntax_uid

    def layout(self, start: View) -> Layout:
        """Return our file meta information, always the same for the same instance."""
        del start
        claim = self.claim
        prefix = encode_file_meta(
            sop_class_uid=claim.sop_class_uid,
            sop_instance_uid=claim.sop_instance_uid,
            transfer_syntax_uid=claim.transfer_syntax_uid,
        )
        return Layout(prefix, 0)

    def admit(self, admission: Admission, layout: Layout, dataset: View) -> Admitted:
        """Check the data set against what the request said."""
        del layout
        return admission.dataset(dataset, self.claim)


@dataclass(frozen=True, slots=True)
class FileForm:
    """A whole Part 10 file, which is kept byte for byte.

    Attributes:
        study_instance_uid: the only study accepted; None for any.
        series: the only series accepted, by their UIDs; None for any.
    """

    study_instance_uid: str | None
    series: frozenset[str] | None = None

    def transfer_syntax_uid(self, layout: Layout) -> str:
        """Return what the file meta information says."""
        assert layout.meta is not None
        return layout.meta.transfer_syntax_uid

    def layout(self, start: View) -> Layout:
        """Return where the data set begins."""
        meta = read_file_meta(start)
        return Layout(b"", meta.dataset_offset, meta)

    def admit(self, admission: Admission, layout: Layout, dataset: View) -> Admitted:
        """Check the file."""
        assert layout.meta is not None
        only = self.study_instance_uid
        admitted = admission.file(layout.meta, dataset, study_instance_uid=only)
        header = admitted.header
        if self.series is not None and header.series_instance_uid not in self.series:
            raise InvalidInstance(
                "an instance of another series",
                Refusal.WRONG_STUDY,
                sop_class_uid=header.sop_class_uid,
                sop_instance_uid=header.sop_instance_uid,
            )
        return admitted
