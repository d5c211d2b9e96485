"""DIMSE status codes this system answers with or meets, and where they are defined."""

from enum import IntEnum


class Status(IntEnum):
    """Status (0000,0900) of a DIMSE response."""

    SUCCESS = 0x0000
    """PS3.7 C.1.1."""

    # PS3.7 Annex C: of any service
    ATTRIBUTE_LIST_ERROR = 0x0107
    """Warning: some attributes were not understood (C.4.2)."""
    NO_SUCH_ATTRIBUTE = 0x0105
    """C.5.12."""
    INVALID_ATTRIBUTE_VALUE = 0x0106
    """C.5.7."""
    PROCESSING_FAILURE = 0x0110
    """C.5.18; the one failure that means "our fault, and not your data's"."""
    DUPLICATE_SOP_INSTANCE = 0x0111
    """C.5.4; N-CREATE of what exists, never C-STORE, where a repeat is a success."""
    NO_SUCH_SOP_INSTANCE = 0x0112
    """C.5.13."""
    INVALID_ARGUMENT_VALUE = 0x0115
    """C.5.6."""
    ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
    """Warning (C.4.3)."""
    INVALID_SOP_INSTANCE = 0x0117
    """C.5.9: the UID breaks the rules of UIDs."""
    NO_SUCH_SOP_CLASS = 0x0118
    """C.5.15."""
    CLASS_INSTANCE_CONFLICT = 0x0119
    """C.5.3."""
    MISSING_ATTRIBUTE = 0x0120
    """C.5.10."""
    MISSING_ATTRIBUTE_VALUE = 0x0121
    """C.5.11."""
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    """C.5.14, and PS3.4 Table B.2-1 and C.4-1."""
    NO_SUCH_ACTION_TYPE = 0x0123
    """C.5.24, N-ACTION."""
    NOT_AUTHORISED = 0x0124
    """C.5.8."""
    DUPLICATE_INVOCATION = 0x0210
    """C.5.5: a Message ID still in use."""
    UNRECOGNISED_OPERATION = 0x0211
    """C.5.20."""
    MISTYPED_ARGUMENT = 0x0212
    """C.5.21."""
    RESOURCE_LIMITATION = 0x0213
    """C.5.19, of N services; C services have A700."""

    # PS3.4 Annex B (C-STORE) and C (C-FIND, C-MOVE, C-GET)
    OUT_OF_RESOURCES = 0xA700
    """C-STORE: disk full or sync failed, send again (Table B.2-1); C-FIND: Table C.4-1."""
    CANNOT_COUNT_MATCHES = 0xA701
    """C-MOVE, C-GET: out of resources, the number of matches is unknown (Tables C.4-2, C.4-3)."""
    CANNOT_PERFORM_SUBOPERATIONS = 0xA702
    """C-MOVE, C-GET: out of resources, sub-operations failed (Tables C.4-2, C.4-3)."""
    MOVE_DESTINATION_UNKNOWN = 0xA801
    """Table C.4-2."""
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    """C-STORE: Table B.2-1; in C-FIND, C-MOVE, C-GET: the identifier does not match."""
    SUBOPERATIONS_COMPLETE_WITH_FAILURES = 0xB000
    """Warning, C-MOVE and C-GET (Tables C.4-2, C.4-3); in C-STORE: coerced elements (B.2-1)."""
    ELEMENTS_DISCARDED = 0xB006
    """Warning, C-STORE (Table B.2-1)."""
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING = 0xB007
    """Warning, C-STORE: stored all the same (Table B.2-1)."""
    CANNOT_UNDERSTAND = 0xC000
    """C-STORE: the data set is unreadable; C-FIND, C-MOVE, C-GET: unable to process."""
    CANNOT_UNDERSTAND_UIDS = 0xC001
    """C000 to CFFF are one status of PS3.4; this one tells our two reasons apart: here the
    data set's UIDs are missing or malformed."""
    CANCELLED = 0xFE00
    """C-FIND, C-MOVE, C-GET, at the requester's wish (Tables C.4-1 to C.4-3)."""
    PENDING = 0xFF00
    """Matches or sub-operations continue."""
    PENDING_WITH_UNSUPPORTED_KEYS = 0xFF01
    """C-FIND: matches continue; some optional keys were not used in matching (Table C.4-1)."""

    @property
    def is_pending(self) -> bool:
        """Whether further responses follow (PS3.7 C.1.4)."""
        return self in {Status.PENDING, Status.PENDING_WITH_UNSUPPORTED_KEYS}

    @property
    def is_warning(self) -> bool:
        """Whether the operation was carried out with reservations (PS3.7 C.1.3)."""
        return self >> 12 == 0xB or self in {
            Status.ATTRIBUTE_LIST_ERROR,
            Status.ATTRIBUTE_VALUE_OUT_OF_RANGE,
        }

    @property
    def is_failure(self) -> bool:
        """Whether the operation was not carried out (PS3.7 C.1.2)."""
        is_done = self in {Status.SUCCESS, Status.CANCELLED}
        return not (is_done or self.is_pending or self.is_warning)
