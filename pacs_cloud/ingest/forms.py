"""The two forms in which an instance arrives: a bare data set, or a Part 10 file."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pacs_cloud.dicom.part10 import FileMeta, encode_file_meta, read_file_meta
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
    """

    study_instance_uid: str | None

    def layout(self, start: View) -> Layout:
        """Return where the data set begins."""
        meta = read_file_meta(start)
        return Layout(b"", meta.dataset_offset, meta)

    def admit(self, admission: Admission, layout: Layout, dataset: View) -> Admitted:
        """Check the file."""
        assert layout.meta is not None
        return admission.file(layout.meta, dataset, study_instance_uid=self.study_instance_uid)
