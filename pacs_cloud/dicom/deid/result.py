"""What became of one file, and the bytes of what is given out of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pacs_cloud.dicom.deid.burned_in import Withheld
from pacs_cloud.dicom.deid.pixel_parts import NewPixels, Pixels, new_parts
from pacs_cloud.dicom.deid.pseudonyms import Replaced
from pacs_cloud.dicom.deid.tally import Tally
from pacs_cloud.dicom.deid.tree import DataSet, parts_after, parts_before
from pacs_cloud.dicom.records import View


@dataclass(frozen=True, slots=True)
class Made:
    """A file that is given out.

    Attributes:
        meta: preamble and file meta information.
        data_set: the new one.
        view: the bytes of the one that came, where its spans lie.
        pixels: the pixel data that came, None without.
        new: what stands for it, None where it stays.
    """

    meta: bytes
    data_set: DataSet
    view: View
    pixels: Pixels | None
    new: NewPixels | None

    def parts(self) -> Iterator[bytes]:
        """Yield its bytes; raises InvalidInstance, also in the midst."""
        yield self.meta
        pixels = self.pixels
        if pixels is None:
            yield from parts_before(self.data_set, self.view, 1 << 32)
            return
        yield from parts_before(self.data_set, self.view, pixels.tag)
        yield from pixels.parts() if self.new is None else new_parts(self.new, pixels.tag)
        yield from parts_after(self.data_set, self.view, pixels.tag)


@dataclass(slots=True)
class Result:
    """What became of one file.

    Attributes:
        withheld: why it is not given out; None where it is.
        study_instance_uid: of the output, "" where it could not be read.
        series_instance_uid: likewise.
        sop_instance_uid: likewise.
        modality: likewise.
        tally: what was done to its elements.
        pixels: what was done to its pixels: `none`, `untouched`, `comments-removed`, `blanked`.
        replaced: what stands for what; for the escrow alone.
        made: the file, None where it is withheld.
    """

    withheld: Withheld | None
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    modality: str = ""
    tally: Tally = field(default_factory=Tally)
    pixels: str = "none"
    replaced: Replaced = field(default_factory=Replaced, repr=False)
    made: Made | None = field(default=None, repr=False)

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes of the new Part 10 file; frames are made when their turn comes.

        Raises:
            InvalidInstance: a frame that was to be blanked is broken, possibly in the midst.
        """
        return iter(()) if self.made is None else self.made.parts()
