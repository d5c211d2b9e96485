"""One Part 10 file without what identifies its patient: what is done to it, step by step.

Pure: the file is bytes, or mapped; what is large in it is read when the output is written.
"""

from typing import Final

from pacs_cloud.dicom.deflate import inflate
from pacs_cloud.dicom.deid.burned_in import (
    PixelVerdict,
    Withheld,
    pixel_verdict,
)
from pacs_cloud.dicom.deid.cleaning import Cleaner
from pacs_cloud.dicom.deid.completing import PATIENT_ID, complete, patient_of
from pacs_cloud.dicom.deid.identity import needles_of
from pacs_cloud.dicom.deid.needles import Matcher
from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.pixel_parts import NewPixels, Pixels, described_anew
from pacs_cloud.dicom.deid.project import Project
from pacs_cloud.dicom.deid.pseudonyms import Pseudonyms
from pacs_cloud.dicom.deid.result import Made, Result
from pacs_cloud.dicom.deid.rules import Rules
from pacs_cloud.dicom.deid.tally import Tally
from pacs_cloud.dicom.deid.tree import DataSet, Span, read_tree
from pacs_cloud.dicom.deid.uids import is_replaced
from pacs_cloud.dicom.part10 import encode_file_meta, read_file_meta
from pacs_cloud.dicom.pixel_tags import FRAGMENT_TAGS, PIXEL_TAGS
from pacs_cloud.dicom.pixels import pixel_tag
from pacs_cloud.dicom.records import View
from pacs_cloud.dicom.uid import (
    EXPLICIT_LE,
    JPIP_HTJ2K_REFERENCED,
    JPIP_HTJ2K_REFERENCED_DEFLATE,
    JPIP_REFERENCED,
    JPIP_REFERENCED_DEFLATE,
    is_deflated,
    is_encapsulated,
    parse_uid,
)
from pacs_cloud.dicom.walk import Walk
from pacs_cloud.errors import InvalidInstance

_STORAGE: Final = "1.2.840.10008."
_DICOMDIR: Final = "1.2.840.10008.1.3.10"
_DOCUMENTS: Final = "1.2.840.10008.5.1.4.1.1.104."
_DOCUMENT: Final = 0x00420011
_AUDIO: Final = frozenset({"1.2.840.10008.5.1.4.1.1.9.4.1", "1.2.840.10008.5.1.4.1.1.9.4.2"})
_ELSEWHERE: Final = frozenset(
    {
        JPIP_REFERENCED,
        JPIP_REFERENCED_DEFLATE,
        JPIP_HTJ2K_REFERENCED,
        JPIP_HTJ2K_REFERENCED_DEFLATE,
    }
)
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_STUDY, _SERIES = 0x0020000D, 0x0020000E


class Deidentifier:
    """De-identifies the files of one project."""

    def __init__(
        self,
        project: Project,
        options: frozenset[Option] | None = None,
        rules: Rules | None = None,
    ) -> None:
        """Prepare.

        Args:
            project: whose key, options and rules.
            options: instead of the project's; as `checked_options` returns them.
            rules: that go before the project's.
        """
        self.project = project
        self.options = project.options if options is None else options
        self.rules = rules.before(project.rules) if rules is not None else project.rules

    def file(self, file: View) -> Result:
        """Return what becomes of a file.

        Args:
            file: a Part 10 file; it has to stay until the result's parts are read.
        """
        try:
            meta = read_file_meta(file)
            whole = memoryview(file)
            view: View = whole[meta.dataset_offset :]
            source = meta.transfer_syntax_uid
            if source in _ELSEWHERE:
                return Result(Withheld.PIXELS_ELSEWHERE)
            if is_deflated(source):
                view, source = inflate(view), EXPLICIT_LE
            walk = Walk(view, source)
            original = read_tree(walk)
            return self._instance(original, view, source)
        except InvalidInstance:
            return Result(Withheld.UNREADABLE)

    def _instance(self, original: DataSet, view: View, source: str) -> Result:
        names = [original.text(tag) for tag in (_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES)]
        try:
            sop_class, *uids = [parse_uid(name) for name in names]
        except InvalidInstance:
            is_directory = 0x00041220 in original.elements
            return Result(Withheld.DICOMDIR if is_directory else Withheld.NO_UIDS)
        matcher = Matcher(needles_of(original, self.options))
        pseudonyms = Pseudonyms(self.project, self.options, patient_of(original))
        instance, study, series = (
            pseudonyms.uid(uid) if is_replaced(_SOP_INSTANCE, uid) else uid for uid in uids
        )
        tally = Tally()
        cleaner = Cleaner(
            pseudonyms,
            self.options,
            matcher,
            rules=self.rules,
            sop_class_uid=sop_class,
            view=view,
            tally=tally,
        )
        result = Result(
            _withheld(sop_class, original),
            study,
            series,
            instance,
            _modality(original, matcher),
            tally,
            replaced=pseudonyms.replaced,
        )
        if result.withheld is None:
            subject = pseudonyms.subject(original.text(PATIENT_ID).strip())
            made = self._made(result, cleaner, matcher, original, view, source)
            if made is not None:
                data_set, verdict, pixels, new = made
                complete(data_set, subject, self.options, verdict)
                target = new.transfer_syntax_uid if new is not None else source
                meta = encode_file_meta(
                    sop_class_uid=sop_class,
                    sop_instance_uid=instance,
                    transfer_syntax_uid=target if is_encapsulated(target) else EXPLICIT_LE,
                )
                result.made = Made(meta, data_set, view, pixels, new)
        return result

    def _made(
        self,
        result: Result,
        cleaner: Cleaner,
        matcher: Matcher,
        original: DataSet,
        view: View,
        source: str,
    ) -> tuple[DataSet, PixelVerdict, Pixels | None, NewPixels | None] | None:
        """Return a cleaned data set and what its pixels become; None where it is withheld."""
        tag = pixel_tag(original.elements)
        pixels = None
        if tag is not None and isinstance(original.elements[tag].value, Span):
            pixels = Pixels(view, original, tag, source)
        span = pixels.span if pixels is not None else None
        verdict = pixel_verdict(original, span, self.rules, self.options)
        result.withheld = verdict.withheld
        if result.withheld is not None:
            return None
        cleaned = cleaner.cleaned(original)
        for other in PIXEL_TAGS - {tag}:
            cleaned.elements.pop(other, None)
        new = self._new_pixels(result, pixels, verdict, cleaned)
        if pixels is not None and new is None and matcher.is_in_large(pixels.chunks()):
            result.withheld = result.withheld or Withheld.NAMED_IN_PIXELS
        return None if result.withheld is not None else (cleaned, verdict, pixels, new)

    @staticmethod
    def _new_pixels(
        result: Result, pixels: Pixels | None, verdict: PixelVerdict, cleaned: DataSet
    ) -> NewPixels | None:
        """Return pixels that are not given out as they came; None for the others."""
        if pixels is None:
            return None
        result.pixels = "untouched"
        new = None
        try:
            if verdict.rule is not None:
                new, result.pixels = pixels.blanked(verdict.rule), "blanked"
            elif pixels.has_comments():
                new, result.pixels = pixels.uncommented(), "comments-removed"
        except InvalidInstance:
            is_asked = verdict.rule is not None
            result.withheld = Withheld.CANNOT_BE_BLANKED if is_asked else Withheld.UNREADABLE
            return None
        if new is not None:
            for tag in FRAGMENT_TAGS:
                cleaned.elements.pop(tag, None)
            if new.made is not None:
                described_anew(cleaned, new.made)
        return new


def _withheld(sop_class: str, data_set: DataSet) -> Withheld | None:
    """Return why an instance of such a class is never given out; None where it may be."""
    if sop_class == _DICOMDIR:
        return Withheld.DICOMDIR
    if sop_class.startswith(_DOCUMENTS) or _DOCUMENT in data_set.elements:
        return Withheld.DOCUMENT
    if sop_class in _AUDIO:
        return Withheld.AUDIO
    return None if sop_class.startswith(_STORAGE) else Withheld.PRIVATE_CLASS


def _modality(data_set: DataSet, matcher: Matcher) -> str:
    modality = data_set.text(0x00080060).strip()
    return "" if matcher.is_in(modality) else modality[:16]
