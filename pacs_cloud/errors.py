"""Every error this package raises on purpose.

    PacsError
    ├── InvalidRequest      the caller's words cannot be understood
    │   ├── TooBroad        the search would read more than its budget
    │   └── …               of one edge: `dimse.pdu.ProtocolViolation`; a body's faults in
    │                       `dicomweb.media` and `dicomweb.problems`
    ├── InvalidInstance     an instance that cannot be admitted; says why
    │   └── InvalidUid      not a path-safe UID
    ├── NotFound            no such thing, or not visible
    │   └── Gone            it was there, and was deleted
    ├── NotAcceptable       it is there, but not in a form the caller takes
    ├── Conflict            something else is already there, or changed meanwhile
    │   └── Held            a legal hold or a retention date forbids it
    ├── Corrupt             stored bytes are not what was stored
    ├── Offline             the bytes are in a cold tier
    │   ├── NeverRestored   of a store that brings nothing back
    │   └── …               of one room: `tiering.recall.BeingRecalled`,
    │                       `tiering.recall_surprises.ColdBySurprise`
    ├── Denied              not for this caller
    │   ├── …               of one room: `identity.user.LockedOut`
    │   └── Unidentified    nobody knows who they are
    │       └── …           of one room: `identity.oidc_jwt.TokenRefused`,
    │                       `identity.oidc_sign_in.SignInRefused`,
    │                       `identity.user.CodeNeeded`
    ├── Unavailable         try again later
    │   ├── StorageFull     the disk is over its high-water mark
    │   ├── TooManyRequests the caller asks more often than it may
    │   │   └── …           of one room: `remote.answers.AskedTooOften`
    │   └── …               of one edge: `dimse.pdu.AssociationRejected`,
    │                       `dimse.state.AssociationAborted`
    └── …                   of one edge: `dimse.c_store.Refused`

Adapters translate a vendor's errors into these once, `from error`; each edge
maps these to its protocol once, by a table.
"""

from enum import StrEnum


class PacsError(Exception):
    """The root of the tree."""


class InvalidRequest(PacsError):
    """The caller's words cannot be understood."""


class TooBroad(InvalidRequest):
    """The search would read more than its budget; its message says what to narrow."""


class Refusal(StrEnum):
    """Why an instance is refused; each edge has its protocol's code for it."""

    UNREADABLE = "unreadable"
    """The data set cannot be decoded."""
    MISSING_UID = "missing-uid"
    """A Study, Series or SOP Instance UID or the SOP Class UID is absent."""
    BAD_UID = "bad-uid"
    """A UID is not path-safe (PS3.5 9.1)."""
    MISMATCH = "mismatch"
    """The data set and the request name different instances or classes."""
    UNSUPPORTED_CLASS = "unsupported-class"
    """Not a storage SOP class this archive accepts."""
    UNSUPPORTED_SYNTAX = "unsupported-syntax"
    """The transfer syntax is unknown, so the data set cannot be read."""
    TOO_LARGE = "too-large"
    """A header or an inflated data set over its limit."""
    WRONG_STUDY = "wrong-study"
    """STOW-RS to one study, with an instance of another."""
    CONFLICT = "conflict"
    """Other content is stored under this SOP Instance UID."""


class InvalidInstance(PacsError):
    """An instance that cannot be admitted.

    Attributes:
        refusal: why, as a value that each edge maps to its own code.
        sop_class_uid: as far as it could be read, else "".
        sop_instance_uid: as far as it could be read, else "".
    """

    def __init__(
        self,
        message: str,
        refusal: Refusal = Refusal.UNREADABLE,
        *,
        sop_class_uid: str = "",
        sop_instance_uid: str = "",
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.sop_class_uid = sop_class_uid
        self.sop_instance_uid = sop_instance_uid


class InvalidUid(InvalidInstance):
    """A UID that is empty, too long or malformed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Refusal.BAD_UID)


class NotFound(PacsError):
    """No such thing, or not visible to this caller."""


class Gone(NotFound):
    """It was there, and was deleted."""


class NotAcceptable(PacsError):
    """The thing is there, but cannot be given in any form that the caller takes."""


class Conflict(PacsError):
    """Something else is already there, or changed since it was read."""


class Held(Conflict):
    """Its study is on legal hold, or its retention date is not over."""


class Corrupt(PacsError):
    """Stored bytes are not what was stored."""


class Offline(PacsError):
    """The bytes are in a cold tier; recall them first.

    Attributes:
        retry_after_s: when it is worth asking again.
    """

    retry_after_s: int = 3600


class NeverRestored(Offline):
    """The bytes are in a cold tier of a store that brings nothing back; says what to do."""

    retry_after_s = 86_400


class Denied(PacsError):
    """Not for this caller."""


class Unidentified(Denied):
    """Nobody knows who the caller is: with a name and what proves it they may come again."""


class Unavailable(PacsError):
    """Try again later: a peer, a store or a resource is not there now."""


class StorageFull(Unavailable):
    """The spool's disk is over its high-water mark."""


class TooManyRequests(Unavailable):
    """The caller asks more often than it may.

    Attributes:
        retry_after_s: when it may ask again.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("asked too often")
        self.retry_after_s = retry_after_s
