"""Which instances come in: the header is read once, here, and everything is checked."""

import mmap
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from pacs_cloud.dicom.header import Header, HeaderReader
from pacs_cloud.dicom.part10 import FileMeta
from pacs_cloud.dicom.uid import is_conforming
from pacs_cloud.errors import InvalidInstance, Refusal

View: TypeAlias = bytes | memoryview | mmap.mmap

UID_NOT_CONFORMING = "uid-not-conforming"
"""A UID is path-safe but not as PS3.5 9.1 wants it."""
FILE_META_DIFFERS = "file-meta-differs"
"""The file meta information names another instance or class than the data set."""


class Claim(NamedTuple):
    """What a C-STORE request says of the data set that it carries (PS3.7 9.3.1.1)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


class Admitted(NamedTuple):
    """An instance that may be stored.

    Attributes:
        header: what its data set says.
        flags: what is unusual about it.
    """

    header: Header
    flags: tuple[str, ...]


def any_class(sop_class_uid: str) -> bool:
    """Return True: every storage SOP class is accepted."""
    del sop_class_uid
    return True


class Admission:
    """Reads and checks instances, faster each time it sees what it has seen before.

    Not thread-safe, as the header reader that it keeps.
    """

    def __init__(
        self,
        reader: HeaderReader | None = None,
        accepts_class: Callable[[str], bool] = any_class,
    ) -> None:
        """Admit classes for which `accepts_class` is true; C-STORE negotiates its own."""
        self._reader = reader or HeaderReader()
        self._accepts_class = accepts_class

    def dataset(self, dataset: View, claim: Claim) -> Admitted:
        """Return what arrived as a C-STORE's data set.

        Raises:
            InvalidInstance: as `HeaderReader.read`, and MISMATCH: the data set is not
                of the instance or class that the request names.
        """
        header = self._reader.read(dataset, claim.transfer_syntax_uid)
        if (
            header.sop_instance_uid != claim.sop_instance_uid
            or header.sop_class_uid != claim.sop_class_uid
        ):
            raise InvalidInstance(
                "the data set is not of the instance that the request names",
                Refusal.MISMATCH,
                sop_class_uid=claim.sop_class_uid,
                sop_instance_uid=claim.sop_instance_uid,
            )
        return Admitted(header, _uid_flags(header))

    def file(
        self, meta: FileMeta, dataset: View, *, study_instance_uid: str | None = None
    ) -> Admitted:
        """Return what arrived as a Part 10 file; its data set decides over its file meta.

        Args:
            meta: its file meta information.
            dataset: what follows that.
            study_instance_uid: the only study accepted; None for any.

        Raises:
            InvalidInstance: as `HeaderReader.read`, UNSUPPORTED_CLASS, WRONG_STUDY.
        """
        header = self._reader.read(dataset, meta.transfer_syntax_uid)
        if not self._accepts_class(header.sop_class_uid):
            raise _refused(header, "not a storage SOP class", Refusal.UNSUPPORTED_CLASS)
        if study_instance_uid is not None and header.study_instance_uid != study_instance_uid:
            raise _refused(header, "an instance of another study", Refusal.WRONG_STUDY)
        flags = _uid_flags(header)
        differs = (meta.sop_class_uid not in {"", header.sop_class_uid}) or (
            meta.sop_instance_uid not in {"", header.sop_instance_uid}
        )
        return Admitted(header, (*flags, FILE_META_DIFFERS) if differs else flags)


def _refused(header: Header, message: str, refusal: Refusal) -> InvalidInstance:
    return InvalidInstance(
        message,
        refusal,
        sop_class_uid=header.sop_class_uid,
        sop_instance_uid=header.sop_instance_uid,
    )


_conforms = lru_cache(4096)(is_conforming)  # the series' and the class's UID come again and again


def _uid_flags(header: Header) -> tuple[str, ...]:
    conforms = (
        is_conforming(header.sop_instance_uid)
        and _conforms(header.series_instance_uid)
        and _conforms(header.study_instance_uid)
        and _conforms(header.sop_class_uid)
    )
    return () if conforms else (UID_NOT_CONFORMING,)
