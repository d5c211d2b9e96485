"""What somebody wants to share, and whether a link can promise it."""

from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.identity.shares_record import (
    Guest,
    Share,
    code_hash,
    digest_of,
    new_codes,
    new_share_id,
    new_share_secret,
)
from pacs_cloud.identity.user import email_of, line_of
from pacs_cloud.security.caller import Action, Caller

DAY_US: Final = 86_400_000_000
DAYS: Final = 14
LONGEST_DAYS: Final = 366
USES: Final = 10
USES_WITH_CODES: Final = 3
MOST_USES: Final = 100
MOST_CODES: Final = 20
MOST_STUDIES: Final = 50
LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class ShareWish:
    """What somebody wants to share.

    Attributes:
        studies: Study Instance UIDs.
        reason: why; kept for ever.
        days: how long, from now on.
        uses: how many sessions; None: `USES`, or `USES_WITH_CODES`.
        may_download: whether instances are handed out as files, too.
        may_reply: whether guests may bring instances to these studies.
        with_codes: whether each session needs a code that goes another way.
        guest: for whom; None: for whoever has the link.
        deidentify: whether what identifies the patient is left out.
    """

    studies: tuple[str, ...]
    reason: str
    days: float = DAYS
    uses: int | None = None
    may_download: bool = False
    may_reply: bool = False
    with_codes: bool = False
    guest: Guest | None = None
    deidentify: bool = False


def needed(wish: ShareWish) -> tuple[Action, ...]:
    """Return what whoever shares must be allowed themselves."""
    more = (Action.DOWNLOAD,) if wish.may_download else ()
    return (Action.SHARE, Action.READ, *more)


def wished(wish: ShareWish, caller: Caller, now_us: int) -> tuple[Share, str, tuple[str, ...]]:
    """Return a new share, its secret and its codes; raises InvalidRequest."""
    studies = tuple(dict.fromkeys(parse_uid(one.strip()) for one in wish.studies))
    if not 1 <= len(studies) <= MOST_STUDIES:
        raise InvalidRequest(f"a link opens 1 to {MOST_STUDIES} studies")
    if wish.deidentify:
        raise InvalidRequest(
            "links cannot leave out yet what identifies the patient: de-identify the study,"
            " and share the result"
        )
    reason = " ".join(wish.reason.split())
    if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidRequest(f"say why, in up to {LONGEST_REASON} characters")
    if not 0 < wish.days <= LONGEST_DAYS:
        raise InvalidRequest(f"a link is good for up to {LONGEST_DAYS} days")
    most_uses = wish.uses
    if most_uses is None:
        most_uses = USES_WITH_CODES if wish.with_codes else USES
    limit = MOST_CODES if wish.with_codes else MOST_USES
    if not 1 <= most_uses <= limit:
        with_codes = " that needs codes" if wish.with_codes else ""
        raise InvalidRequest(f"a link{with_codes} is used up to {limit} times")
    secret = new_share_secret()
    codes = new_codes(most_uses) if wish.with_codes else ()
    share = Share(
        share_id=new_share_id(),
        digest=digest_of(secret),
        studies=studies,
        until_us=now_us + round(wish.days * DAY_US),
        most_uses=most_uses,
        may_download=wish.may_download,
        may_reply=wish.may_reply,
        guest=_guest(wish.guest),
        needs_code=wish.with_codes,
        codes=tuple(code_hash(secret, one) for one in codes),
        reason=reason,
        made_us=now_us,
        made_by=caller.subject,
    )
    return share, secret, codes


def _guest(guest: Guest | None) -> Guest | None:
    if guest is None:
        return None
    name, email = line_of(guest.name), email_of(guest.email)
    if not name:
        raise InvalidRequest("a guest who is named has a name")
    return Guest(name, email)
