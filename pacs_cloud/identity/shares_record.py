"""What is kept of a link that lets somebody else see studies, and what proves who holds it.

The link's secret has 256 random bits, so that a plain hash of it is enough. A one-time code
has few, and is hashed with the secret as its key: whoever reads what is kept can try neither.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule, rules_despite

GUEST: Final = "guest:"
"""What the subjects of whoever came by a link begin with; the rest is the share's id."""
COPIES: Final = "share_"
"""What the tenants begin with in which the copies lie that links open without what identifies
the patient. No archive is set up for such a tenant: a configured name has no underscore."""
MAKING_US: Final = 86_400_000_000
"""A link whose copies are not there after so long was given up: whoever made them is gone."""
MOST_WRONG: Final = 10
"""So many wrong codes close a share for good. A code has eight digits, so that a thief of the
link who tries guesses one of three in three cases of ten million."""
_ID: Final = re.compile(r"[0-9a-f]{32}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_CODE_DIGITS: Final = 8
_ASIDE: Final = dict.fromkeys(map(ord, " -.\t\u00a0\u202f"))


class ShareState(StrEnum):
    """What becomes of whoever opens a link."""

    OPEN = "open"
    PREPARING = "preparing"
    """What it opens is being copied, without what identifies the patient."""
    REVOKED = "revoked"
    EXPIRED = "expired"
    LOCKED = "locked"
    """Too many codes were wrong."""
    USED_UP = "used-up"
    UNKNOWN = "unknown"
    """It opens nothing."""


@dataclass(frozen=True, slots=True)
class Guest:
    """For whom a link is, as whoever made it says.

    Attributes:
        name: of a person.
        email: theirs, or "".
    """

    name: str
    email: str = ""


@dataclass(frozen=True, slots=True)
class ShareUse:
    """One session that was begun by a link.

    Attributes:
        at_us: when, microseconds since 1970 UTC.
        address: from where, "" where nobody knows.
    """

    at_us: int
    address: str


@dataclass(frozen=True, slots=True)
class SharedCopy:
    """A study that a link opens without what identifies the patient.

    Attributes:
        original: Study Instance UID of what was shared.
        copy: of what is seen by the link.
    """

    original: str
    copy: str


@dataclass(frozen=True, slots=True)
class Share:
    """A link, as the store has it.

    Attributes:
        share_id: 32 hex digits, which the link shows too.
        digest: of its secret.
        studies: Study Instance UIDs, the only ones that it opens.
        series: of the one study the only series that it opens, by their UIDs; none: all.
        until_us: when it ends, sessions and all.
        most_uses: how many sessions it begins.
        may_download: whether instances are handed out as files, too.
        may_reply: whether its guests may bring instances to these studies.
        deidentify: whether it opens copies without what identifies the patient, and nothing of
            the studies themselves.
        project: by whose name these are known (`deid project`); "": by nobody's.
        copies: what stands for its studies, once that is there.
        withheld: how many instances were left out of these.
        labels: sensitive ones of its studies, which whoever made it was let see.
        removed_us: when they were removed behind its end; 0: they were not.
        guest: for whom it is; None: for whoever has it.
        needs_code: whether each session needs a one-time code.
        codes: hashes of those that are left.
        reason: why it was made.
        made_us: when.
        made_by: by whom.
        uses: the sessions that were begun, oldest first.
        wrong_codes: codes that were none of its.
        revoked_us: when it was ended by somebody; 0: it was not.
        revoked_by: by whom.
    """

    share_id: str
    digest: str = field(repr=False)
    studies: tuple[str, ...]
    until_us: int
    most_uses: int
    may_download: bool = False
    may_reply: bool = False
    deidentify: bool = False
    guest: Guest | None = field(default=None, repr=False)
    needs_code: bool = False
    codes: tuple[str, ...] = field(default=(), repr=False)
    reason: str = field(default="", repr=False)
    made_us: int = 0
    made_by: str = ""
    uses: tuple[ShareUse, ...] = ()
    wrong_codes: int = 0
    revoked_us: int = 0
    revoked_by: str = ""
    series: tuple[str, ...] = ()
    project: str = ""
    copies: tuple[SharedCopy, ...] = ()
    withheld: int = 0
    removed_us: int = 0
    labels: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Who, as the audit trail names whoever came by it."""
        return f"{GUEST}{self.share_id}"

    @property
    def opens(self) -> tuple[str, ...]:
        """The Study Instance UIDs that its guests see: of the copies, where it has some."""
        return tuple(one.copy for one in self.copies) if self.deidentify else self.studies

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What its guests are, in the tenant that is theirs (`guests_tenant`)."""
        actions = {Action.SEARCH, Action.READ}
        if self.may_download:
            actions.add(Action.DOWNLOAD)
        if self.may_reply and not self.deidentify:
            actions.add(Action.STORE)
        series = () if self.deidentify else self.series
        return (_guest_of(self.opens, frozenset(actions), series, self.labels),)

    def guests_tenant(self, tenant: str) -> str:
        """Return whose data its guests see: the tenant's, or what was copied for them alone."""
        return copies_tenant(self.share_id) if self.deidentify else tenant

    def replier(self, caller: Caller, tenant: str, study: str) -> tuple[Caller, str] | None:
        """Return who brings a guest's reply, and to which study; None: to none.

        Args:
            caller: the guest.
            tenant: of the share.
            study: the one that they see.
        """
        if not self.may_reply or study not in self.opens:
            return None
        if not self.deidentify:
            return caller, study
        original = next(one.original for one in self.copies if one.copy == study)
        actions = frozenset({Action.SEARCH, Action.STORE})
        grant = _guest_of((original,), actions, labels=self.labels)
        return Caller(tenant, caller.subject, (grant,), caller.address), original

    def is_good(self, now_us: int) -> bool:
        """Return whether sessions that it has begun go on."""
        return not self.revoked_us and now_us < self.until_us and bool(self.opens)

    def is_over(self, now_us: int) -> bool:
        """Return whether it opens nothing for good, and no session goes on."""
        return bool(self.revoked_us) or now_us >= self.until_us

    def is_given_up(self, now_us: int) -> bool:
        """Return whether nobody makes its copies any more, and never has finished them."""
        is_made = not self.deidentify or bool(self.copies)
        return not is_made and now_us >= self.made_us + MAKING_US

    def state(self, now_us: int) -> ShareState:
        """Return what becomes of whoever opens it now."""
        if self.revoked_us:
            return ShareState.REVOKED
        if now_us >= self.until_us:
            return ShareState.EXPIRED
        if not self.opens:
            return ShareState.PREPARING if self.deidentify else ShareState.UNKNOWN
        if len(self.uses) >= self.most_uses:
            return ShareState.USED_UP
        if self.wrong_codes >= MOST_WRONG:
            return ShareState.LOCKED
        return ShareState.OPEN

    def is_opened_by(self, secret: str) -> bool:
        """Return whether somebody shows its secret."""
        return hmac.compare_digest(self.digest, digest_of(secret))

    def code_used(self, secret: str, code: str) -> str | None:
        """Return which of the hashes that are left is the code's; None where none is."""
        mine = code_hash(secret, code)
        found = None
        for one in self.codes:
            if hmac.compare_digest(one, mine):
                found = one
        return found


def _guest_of(
    studies: tuple[str, ...],
    actions: frozenset[Action],
    series: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
) -> Grant:
    rule = StudyRule(studies=frozenset(studies), series=frozenset(series))
    return Grant(Role.GUEST, rules_despite(rule, frozenset(labels)), actions)


def new_share_id() -> str:
    """Return the id of a new share."""
    return secrets.token_hex(16)


def new_share_secret() -> str:
    """Return a secret that stands behind the `#` of a link: 256 bits, 43 characters."""
    return secrets.token_urlsafe(32)


def new_codes(count: int) -> tuple[str, ...]:
    """Return one-time codes, no two of them the same."""
    codes: set[str] = set()
    while len(codes) < count:
        codes.add(f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}")
    return tuple(sorted(codes, key=lambda _: secrets.randbits(32)))


def digest_of(secret: str) -> str:
    """Return what is kept of a link's secret."""
    return hashlib.sha256(b"share:" + secret.encode("utf-8", "surrogatepass")).hexdigest()


def code_hash(secret: str, code: str) -> str:
    """Return what is kept of a one-time code; blanks and dashes in it do not matter."""
    digits = code[:64].translate(_ASIDE).encode("utf-8", "surrogatepass")
    key = b"share code:" + secret.encode("utf-8", "surrogatepass")
    return hmac.digest(key, digits, "sha256").hex()


def is_share_id(text: str) -> bool:
    """Return whether a text can be a share's id."""
    return _ID.fullmatch(text) is not None


def is_share_secret(text: str) -> bool:
    """Return whether a text can be a link's secret."""
    return _SECRET.fullmatch(text) is not None


def share_id_of(subject: str) -> str | None:
    """Return the share that a guest came by, None for whoever is no guest."""
    return subject.removeprefix(GUEST) if subject.startswith(GUEST) else None


def copies_tenant(share_id: str) -> str:
    """Return the tenant in which the copies lie that a share opens."""
    return f"{COPIES}{share_id}"


def share_path(share_id: str, secret: str) -> str:
    """Return the path of a link. Browsers send what stands behind the `#` to no server."""
    return f"/share/{share_id}#{secret}"
