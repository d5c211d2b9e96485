"""What a pixel worker may answer: a codec that was taken over must not take over its peer.

A pickle can name any function there is; this one can name the classes of answers alone.
"""

import pickle
from collections.abc import Iterable
from typing import Any, Final

from pacs_cloud import errors
from pacs_cloud.dicom.coding.enclosure import Enclosure
from pacs_cloud.dicom.coding.recoding import Begun
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.retrieve.pixel_worker import Surprise


def _errors() -> Iterable[type[Any]]:
    for one in vars(errors).values():
        if isinstance(one, type) and issubclass(one, errors.PacsError):
            yield one


_ADMITTED: Final = {
    (one.__module__, one.__qualname__): one
    for one in (Begun, Enclosure, PixelFormat, Surprise, errors.Refusal, *_errors())
}
"""Beside numbers, texts, bytes and tuples of them, which need no class."""


class AnswerUnpickler(pickle.Unpickler):
    """Reads an answer; raises UnpicklingError for one that names anything else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return a class by its name."""
        found = _ADMITTED.get((module_name, global_name))
        if found is None:
            raise pickle.UnpicklingError("A pixel worker's answer has a class of no answer.")
        return found
