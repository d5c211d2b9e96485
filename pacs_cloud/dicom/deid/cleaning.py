"""Each element of a data set by its row of Table E.1-1, in every sequence (PS3.15 E.1 to E.3)."""

from typing import Final

from pydicom.datadict import dictionary_VR

from pacs_cloud.dicom.deid.completing import PATIENT_ID, PATIENT_NAME
from pacs_cloud.dicom.deid.content import goes_whole
from pacs_cloud.dicom.deid.dates import capped_age, is_temporal, shifted
from pacs_cloud.dicom.deid.dummies import (
    CODE_VALUE,
    dummy,
    dummy_annotations,
    dummy_code,
    dummy_content,
)
from pacs_cloud.dicom.deid.needles import Matcher
from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.pseudonyms import Pseudonyms
from pacs_cloud.dicom.deid.requirement import requirement, resolved
from pacs_cloud.dicom.deid.rules import Rules
from pacs_cloud.dicom.deid.scanning import PIXELS, is_too_long, scan
from pacs_cloud.dicom.deid.scrubbing import scrubbed
from pacs_cloud.dicom.deid.tables import Row, row_of, safe_private
from pacs_cloud.dicom.deid.tally import Deed, Tally
from pacs_cloud.dicom.deid.tree import DataSet, Element, Span, text_of
from pacs_cloud.dicom.deid.uids import is_replaced
from pacs_cloud.dicom.records import View

CONTENT_SEQUENCE, GRAPHIC_ANNOTATIONS, GRAPHIC_TEXT = 0x0040A730, 0x00700001, 0x00700006
_TEMPORAL: Final = frozenset({"DA", "DT", "TM"})
_TEXTS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_PROSE: Final = frozenset({"LT", "ST", "UT"})
_DROPPED: Final = frozenset({0x04000500, 0x00080300, 0xFFFCFFFC})
"""Not in the table, but full of what was: Encrypted Attributes Sequence; Private Data Element
Characteristics Sequence, which speaks of private attributes that are gone."""
_ROI: Final = "R"


class Cleaner:
    """Cleans the data sets of one instance."""

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        options: frozenset[Option],
        matcher: Matcher,
        *,
        rules: Rules,
        sop_class_uid: str,
        view: View,
        tally: Tally,
    ) -> None:
        """Prepare to clean.

        Args:
            pseudonyms: of the patient.
            options: of the profile.
            matcher: of the instance's identifying strings.
            rules: of the site.
            sop_class_uid: of the instance.
            view: its data set's bytes, for what is too long to have been read.
            tally: takes in what is done.
        """
        self.tally = tally
        self._names = pseudonyms
        self._options = options
        self._matcher = matcher
        self._private_names = rules.private
        self._class = sop_class_uid
        self._view = view

    def cleaned(self, data_set: DataSet, parent: int | None = None) -> DataSet:
        """Return a data set, the whole or an item of the sequence `parent`, without identity."""
        kept = DataSet({}, data_set.charset)
        overlays = self._kept_overlays(data_set)
        creators: set[int] = set()
        for tag, element in data_set.elements.items():
            if is_too_long(element):
                new = None
            elif tag & 0x10000:
                new = self._private(element, data_set)
                if new is not None:
                    creators.add(tag & 0xFFFF0000 | tag >> 8 & 0xFF)
            elif tag >> 24 in {0x50, 0x60} and tag >> 16 & 0xFF00 in {0x5000, 0x6000}:
                new = self._overlay(element, data_set) if tag >> 16 in overlays else None
            else:
                new = self._public(element, data_set, parent)
            if new is not None:
                kept.elements[tag] = new
            elif not (tag & 0x10000 and tag & 0xFFFF < 0x100):
                self.tally.note(Deed.REMOVED, tag)
        for tag in creators:
            kept.elements[tag] = data_set.elements[tag]
        kept.elements = dict(sorted(kept.elements.items()))
        return kept

    def _public(self, element: Element, around: DataSet, parent: int | None) -> Element | None:
        tag, vr = element.tag, element.vr
        if tag in PIXELS:
            is_known = parent is None and not isinstance(element.value, list)
            return element if is_known else None
        if 0x7F000000 <= tag < 0x7FFF0000:  # retired pixel data of other kinds
            return None
        if tag in _DROPPED or tag >> 16 < 8:
            return None
        if tag == PATIENT_ID:
            return self._pseudonym(element, around, parent)
        if tag == PATIENT_NAME and parent is None:
            return self._text(element, around, self._names.subject(""), Deed.REPLACED)
        row = row_of(tag)
        if row is None:
            return self._unlisted(element, around)
        if tag == GRAPHIC_TEXT and Option.CLEAN_GRAPHICS in self._options:
            return self._clean(element, around) or self._dummy(element, around)
        code = self._code(row, tag, parent)
        if code == "C":
            new = self._clean(element, around)
            if new is not None:
                return new
            basic = resolved(row.basic, requirement(self._class, tag, parent))
            return self._acted(basic, element, around)
        if code == "U" and vr not in {"UI", "SQ"}:
            code = "X"
        return self._acted(code, element, around)

    def _code(self, row: Row, tag: int, parent: int | None) -> str:
        """Return the action of a row: an option's before the profile's, the stricter of two."""
        chosen = {row.options[option] for option in self._options if option in row.options}
        if chosen:
            return "C" if "C" in chosen else "K"
        return resolved(row.basic, requirement(self._class, tag, parent))

    def _acted(self, code: str, element: Element, around: DataSet) -> Element | None:
        if code == "K":
            return self._keep(element, around)
        if code == "U":
            return (
                self._keep(element, around) if element.vr == "SQ" else self._uids(element, around)
            )
        if code == "Z":
            self.tally.note(Deed.EMPTIED, element.tag)
            return Element(element.tag, element.vr, [] if element.vr == "SQ" else b"")
        return self._dummy(element, around) if code == "D" else None

    def _unlisted(self, element: Element, around: DataSet) -> Element | None:
        """Return what stays of an attribute that the table does not name."""
        vr = element.vr
        try:
            dictionary_VR(element.tag)
        except KeyError:
            return None
        if vr in {"UN", "UR", "AE"}:
            return None
        if vr == "PN":
            return self._acted("Z", element, around)
        if vr in _TEMPORAL:
            return self._moved(element, around) or self._acted("Z", element, around)
        if vr in _PROSE and not isinstance(element.value, Span):
            text = text_of(element, around)
            clean = scrubbed(text, self._matcher, keeps_dates=Option.FULL_DATES in self._options)
            if clean != text:
                return self._text(element, around, clean, Deed.CLEANED)
        return self._keep(element, around)

    def _keep(self, element: Element, around: DataSet) -> Element | None:
        """Return an element that stays, with all that is within it by the rules."""
        value, vr = element.value, element.vr
        if isinstance(value, list):
            items = [self.cleaned(item, element.tag) for item in value]
            if element.tag == CONTENT_SEQUENCE:
                items = [item for item in items if not goes_whole(item, self._options)]
            return Element(element.tag, "SQ", items)
        if vr == "UI":
            return self._uids(element, around)
        if vr in _TEMPORAL and not is_temporal(text_of(element, around)):
            self.tally.note(Deed.FOUND, element.tag)
            return Element(element.tag, vr, b"")
        if vr == "AS":
            age = capped_age(text_of(element, around))
            return Element(element.tag, vr, age.encode("ascii"))
        new, is_found = scan(element, around, self._matcher, self._view)
        if is_found:
            self.tally.note(Deed.FOUND, element.tag)
        return new

    def _clean(self, element: Element, around: DataSet) -> Element | None:
        """Return an element without what identifies (action C), None where nothing is left."""
        tag, vr = element.tag, element.vr
        if vr in _TEMPORAL:
            return self._moved(element, around)
        if vr in {"SQ", "UI", "DS", "IS", "AS"}:
            return self._keep(element, around)
        if vr not in _TEXTS or isinstance(element.value, Span):
            return None
        text = text_of(element, around)
        clean = scrubbed(text, self._matcher, keeps_dates=Option.FULL_DATES in self._options)
        if not clean:
            return None
        if clean == text:
            return self._keep(element, around)
        self.tally.note(Deed.CLEANED, tag)
        return self._keep(self._text(element, around, clean), around)

    def _moved(self, element: Element, around: DataSet) -> Element | None:
        """Return a date or time as the options have it, None where they keep none."""
        text = text_of(element, around)
        if not is_temporal(text):
            return None
        if Option.FULL_DATES in self._options:
            return element
        if Option.MODIFIED_DATES not in self._options:
            return None
        moved = shifted(text, element.vr, self._names.days)
        if moved == text:
            return element
        return self._text(element, around, moved, Deed.SHIFTED)

    def _uids(self, element: Element, around: DataSet) -> Element:
        old = [uid.strip() for uid in text_of(element, around).split("\\")]
        tag, has = element.tag, self._matcher.has_uid
        new = [self._names.uid(one) if is_replaced(tag, one) or has(one) else one for one in old]
        if new == old:
            return element
        return self._text(element, around, "\\".join(new), Deed.REMAPPED)

    def _dummy(self, element: Element, around: DataSet) -> Element | None:
        tag, vr, value = element.tag, element.vr, element.value
        self.tally.note(Deed.REPLACED, tag)
        if isinstance(value, list):
            if tag == CONTENT_SEQUENCE:
                return Element(tag, "SQ", dummy_content(around.charset) if value else [])
            if any(CODE_VALUE in item.elements for item in value):
                return Element(tag, "SQ", [dummy_code(around.charset)])
            items = [self.cleaned(item, tag) for item in value]
            return Element(
                tag, "SQ", dummy_annotations(items) if tag == GRAPHIC_ANNOTATIONS else items
            )
        if vr == "UI":
            return self._uids(element, around)
        return Element(tag, vr, dummy(vr))

    def _pseudonym(self, element: Element, around: DataSet, parent: int | None) -> Element | None:
        if isinstance(element.value, list):
            return None
        shown = text_of(element, around).strip()
        if parent is None:
            return self._text(element, around, self._names.subject(shown), Deed.REPLACED)
        if not shown:
            return element
        return self._text(element, around, self._names.other(shown), Deed.REPLACED)

    def _text(
        self, element: Element, around: DataSet, text: str, deed: Deed | None = None
    ) -> Element:
        if deed is not None:
            self.tally.note(deed, element.tag)
        new = DataSet({}, around.charset)
        new.put_text(element.tag, element.vr, text)
        return new.elements[element.tag]

    def _private(self, element: Element, around: DataSet) -> Element | None:
        """Return a private element that is known to be safe (PS3.15 E.3.10)."""
        tag = element.tag
        if Option.SAFE_PRIVATE not in self._options or not tag & 0xFF00:
            return None
        creator = around.text(tag & 0xFFFF0000 | tag >> 8 & 0xFF)
        name = creator, tag >> 16, tag & 0xFF
        if element.vr == "UN" or not (name in safe_private() or name in self._private_names):
            return None
        if self._matcher.is_in(creator) or element.vr in {"PN", "UR"}:
            return None
        if element.vr in _TEMPORAL:
            new = self._moved(element, around)
        else:
            new = self._keep(element, around)
        if new is not None:
            self.tally.note(Deed.KEPT_PRIVATE, tag)
        return new

    def _kept_overlays(self, data_set: DataSet) -> frozenset[int]:
        """Return the groups of overlays that mark regions: others may be handwriting."""
        if Option.CLEAN_GRAPHICS not in self._options:
            return frozenset()
        return frozenset(
            tag >> 16
            for tag in data_set.elements
            if tag >> 24 == 0x60
            and tag & 0xFFFF == 0x0040
            and data_set.text(tag).strip() == _ROI
            and tag & 0xFFFF0000 | 0x3000 in data_set.elements
        )

    def _overlay(self, element: Element, around: DataSet) -> Element | None:
        if element.vr in _TEXTS:
            return self._clean(element, around)
        return self._keep(element, around)
