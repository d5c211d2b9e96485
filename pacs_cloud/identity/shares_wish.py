"""What somebody wants to share, and whether a link can promise it."""

from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.deid.project import checked_name
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
MOST_SERIES: Final = 200
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
        project: by whose pseudonyms patients and UIDs are known then (`deid project`); "": by
            such that nobody can follow.
        series: of the one study only these series; none: all.
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
    project: str = ""
    series: tuple[str, ...] = ()


def needed(wish: ShareWish) -> tuple[Action, ...]:
    """Return what whoever shares must be allowed themselves.

    To leave something out takes no right besides; to do that under a project's pseudonyms, which
    say who is who to whoever has others of them, does.
    """
    more = (Action.DOWNLOAD,) if wish.may_download else ()
    known = (Action.DEIDENTIFY,) if wish.project else ()
    return (Action.SHARE, Action.READ, *more, *known)


def wished(wish: ShareWish, caller: Caller, now_us: int) -> tuple[Share, str, tuple[str, ...]]:
    """Return a new share, its secret and its codes; raises InvalidRequest."""
    studies = tuple(dict.fromkeys(parse_uid(one.strip()) for one in wish.studies))
    if not 1 <= len(studies) <= MOST_STUDIES:
        raise InvalidRequest(f"a link opens 1 to {MOST_STUDIES} studies")
    series = tuple(dict.fromkeys(parse_uid(one.strip()) for one in wish.series))
    if len(series) > MOST_SERIES or (series and len(studies) > 1):
        raise InvalidRequest(f"a link opens 1 to {MOST_SERIES} series of one study")
    if wish.project and not wish.deidentify:
        raise InvalidRequest("a project is for links that leave out who the patient is")
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
        deidentify=wish.deidentify,
        project=checked_name(wish.project) if wish.project else "",
        series=series,
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
