"""What an A-ASSOCIATE request and its acceptance say (PS3.8 9.3.2, 9.3.3; PS3.7 D.3.3)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
PROTOCOL_VERSION: Final = 1


class ContextResult(IntEnum):
    """What became of one proposed presentation context (PS3.8 Table 9-18)."""

    ACCEPTED = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context of a request: an odd ID and what is proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnsweredContext:
    """One presentation context of an acceptance; the syntax counts only when accepted."""

    context_id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of the association's requestor for one SOP class (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who the requestor says it is (PS3.7 D.3.3.7).

    Attributes:
        kind: 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JWT.
        response_requested: whether a positive answer is to be sent back.
        primary: the name, ticket, assertion or token.
        secondary: the passcode, for kind 2.
    """

    kind: int
    response_requested: bool
    primary: bytes
    secondary: bytes = b""

    def __repr__(self) -> str:
        """Return a text without the credentials, which must not reach a log."""
        return f"UserIdentity(kind={self.kind})"


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ.

    Attributes:
        max_length: the longest P-DATA-TF body its sender takes, in bytes; 0 any.
        operations_window: operations invoked and performed at a time, 0 any.
        extended: SOP class UID to its service-class application information.
        common_extended: SOP class UID to its service class UID.
        protocol_version: one bit per version.
    """

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    max_length: int
    implementation_class_uid: str
    implementation_version: str = ""
    operations_window: tuple[int, int] | None = None
    roles: tuple[Roles, ...] = ()
    extended: tuple[tuple[str, bytes], ...] = ()
    common_extended: tuple[tuple[str, str], ...] = ()
    identity: UserIdentity | None = None
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """An A-ASSOCIATE-AC; see `AssociateRequest` for the fields they share."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[AnsweredContext, ...]
    max_length: int
    implementation_class_uid: str
    implementation_version: str = ""
    operations_window: tuple[int, int] | None = None
    roles: tuple[Roles, ...] = ()
    extended: tuple[tuple[str, bytes], ...] = ()
    identity_response: bytes | None = None
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION
