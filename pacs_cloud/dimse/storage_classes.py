"""Every storage SOP class, standard or private."""

from typing import Final

from pydicom._uid_dict import UID_dictionary
from pynetdicom.presentation import AllStoragePresentationContexts

from pacs_cloud.dimse.negotiation import Offer, Repertoire

_COMPOSITE: Final = "1.2.840.10008.5.1.4.1.1."

STORAGE_CLASSES: Final = frozenset(
    str(context.abstract_syntax) for context in AllStoragePresentationContexts
) | frozenset(
    uid
    for uid, (name, _, _, retired, _) in UID_dictionary.items()
    if uid.startswith(_COMPOSITE) and "Storage" in name and retired
)
"""Those of PS3.4 B.5 that pynetdicom knows, and the retired ones that old devices
still send (ultrasound and nuclear medicine of 1993, standalone overlays)."""


def storage_repertoire(offer: Offer, *, private_classes: bool) -> Repertoire:
    """Return `offer` for every storage SOP class.

    Args:
        offer: what is done in each of them.
        private_classes: whether it also stands for abstract syntaxes outside
            DICOM's root, as vendors use for their raw data.
    """
    return Repertoire(dict.fromkeys(STORAGE_CLASSES, offer), offer if private_classes else None)
