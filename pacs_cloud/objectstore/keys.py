"""Where each kind of object lies: keys hold UIDs, never patient data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from pacs_cloud.errors import InvalidRequest

KEY_LIMIT_BYTES = 1024
"""The longest key of S3."""
COMPONENT_LIMIT_BYTES = 255
"""The longest file name of Linux (NAME_MAX)."""
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_TRASH = re.compile(r"trash/([^/]+)/([0-9a-f]{16})-([a-z]+)/([0-9.]+(?:/[0-9.]+){0,2})\.json")
_RECALL = re.compile(r"recalls/([^/]+)/([0-9.]+)/([0-9.]+)/([^/]+)/([0-9a-f]{16})\.json")
_REJECTION = re.compile(r"rejections/([^/]+)/([0-9.]+)/([0-9a-f]+)\.json")
_ACCESS = re.compile(r"access/([^/]+)/(\d{6})(?:(\d{2})/([0-9a-f-]+)|_(\d{6,}))\.zst")
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class PackKey:
    """The four names that make a pack's key."""

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    pack_id: str

    @property
    def pack(self) -> str:
        """`packs/{tenant}/{ss}/{study}/{series}/{pack_id}.zip`."""
        return f"packs/{self._path}.zip"

    @property
    def index(self) -> str:
        """`index/…/{pack_id}.zst`: the pack's index again, never tiered."""
        return f"index/{self._path}.zst"

    @property
    def _path(self) -> str:
        below = study_path(self.tenant, self.study_instance_uid)
        return f"{below}{self.series_instance_uid}/{self.pack_id}"


def check_key(key: str) -> str:
    """Return `key` when every store takes it and it is one object's name in each.

    Letters, digits, `.`, `_`, `-`, and `/` between components; a component is at
    most 255 bytes and does not begin with a dot (so `..` is none, and a file
    store has names of its own), a key at most 1,024.

    Raises:
        InvalidRequest: anything else.
    """
    if (
        len(key) > KEY_LIMIT_BYTES
        or not _KEY.fullmatch(key)
        or any(len(component) > COMPONENT_LIMIT_BYTES for component in key.split("/"))
    ):
        raise InvalidRequest(f"not an object's key: {key[:80]!r}")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` when it can be the beginning of a key; raises InvalidRequest."""
    if len(prefix) > KEY_LIMIT_BYTES or not _PREFIX.fullmatch(prefix):
        raise InvalidRequest(f"not the beginning of an object's key: {prefix[:80]!r}")
    return prefix


def spread_of(study_instance_uid: str) -> str:
    """Return two hex digits that spread studies over S3 prefixes."""
    return blake3(study_instance_uid.encode()).hexdigest(length=1)


def study_path(tenant: str, study_instance_uid: str) -> str:
    """Return `{tenant}/{ss}/{study}/`: what follows the tree in keys of what is of one study."""
    return f"{tenant}/{spread_of(study_instance_uid)}/{study_instance_uid}/"


def parse_pack_key(key: str) -> PackKey | None:
    """Return the names in a `packs/…zip` or `index/…zst` key, None for any other key."""
    parts = key.split("/")
    if len(parts) != 6 or (parts[0], parts[5][-4:]) not in {("packs", ".zip"), ("index", ".zst")}:
        return None
    _, tenant, spread, study, series, name = parts
    return PackKey(tenant, study, series, name[:-4]) if spread == spread_of(study) else None


def ledger_prefix(tenant: str, study_instance_uid: str) -> str:
    """Return `ledger/{tenant}/{ss}/{study}/`: the decisions taken about one study."""
    return f"ledger/{study_path(tenant, study_instance_uid)}"


def trash_prefix(tenant: str | None = None) -> str:
    """Return `trash/{tenant}/`, or `trash/` for all: what lies in the trash, oldest first."""
    return "trash/" if tenant is None else f"trash/{tenant}/"


def trash_key(tenant: str, marked_us: int, action: str, uids: Sequence[str]) -> str:
    """Return the key that marks a study, series or instance as deleted or restored at a time.

    Args:
        tenant: whose.
        marked_us: when, microseconds since 1970 UTC.
        action: what was done, one word.
        uids: one to three: of the study, the series and the instance.
    """
    return f"{trash_prefix(tenant)}{marked_us:016x}-{action}/{'/'.join(uids)}.json"


def parse_trash_key(key: str) -> tuple[str, int, str, tuple[str, ...]] | None:
    """Return what `trash_key` made `key` from, None for any other key."""
    match = _TRASH.fullmatch(key)
    if match is None:
        return None
    return match[1], int(match[2], 16), match[3], tuple(match[4].split("/"))


def decision_key(tenant: str, study_instance_uid: str, decided_us: int, pack_id: str) -> str:
    """Return the key of a decision about one pack; a study's sort by time."""
    return f"{ledger_prefix(tenant, study_instance_uid)}{decided_us:016x}-{pack_id}.json"


def recall_prefix(tenant: str | None = None, study_instance_uid: str | None = None) -> str:
    """Return `recalls/{tenant}/{study}/`: the recalls of a study, of a tenant, or all."""
    named = [name for name in (tenant, study_instance_uid) if name is not None]
    return "/".join(["recalls", *named, ""])


def recall_key(pack: PackKey, after_us: int) -> str:
    """Return the key of a pack's one recall behind a moment.

    Args:
        pack: which.
        after_us: how long the copy of its last recall stayed, microseconds since 1970
            UTC; 0 before the first. Whoever asks for the pack so means the same recall.
    """
    names = f"{pack.series_instance_uid}/{pack.pack_id}/{after_us:016x}.json"
    return recall_prefix(pack.tenant, pack.study_instance_uid) + names


def parse_recall_key(key: str) -> tuple[PackKey, int] | None:
    """Return what `recall_key` made `key` from, None for any other key."""
    match = _RECALL.fullmatch(key)
    return (PackKey(*match.groups()[:4]), int(match[5], 16)) if match else None


def rejection_prefix(tenant: str | None = None, study_instance_uid: str | None = None) -> str:
    """Return `rejections/{tenant}/{study}/`: the notes that touch a study, of a tenant, or all."""
    named = [name for name in (tenant, study_instance_uid) if name is not None]
    return "/".join(["rejections", *named, ""])


def rejection_key(tenant: str, study_instance_uid: str, digest: str) -> str:
    """Return the key under which a study knows of a rejection note.

    Args:
        tenant: whose.
        study_instance_uid: the note's own study, or one of which it names instances.
        digest: of the note's data set, in hex digits.
    """
    return f"{rejection_prefix(tenant, study_instance_uid)}{digest}.json"


def parse_rejection_key(key: str) -> tuple[str, str, str] | None:
    """Return what `rejection_key` made `key` from, None for any other key."""
    match = _REJECTION.fullmatch(key)
    return (match[1], match[2], match[3]) if match else None


@dataclass(frozen=True, slots=True)
class AccessKey:
    """The name of one object of the access log: what one process counted of a day, or a sum.

    Attributes:
        tenant: whose.
        month: six digits, `yyyymm`.
        day: of a part, two digits; "" for a sum.
        part: of a part, its unique name; "" for a sum.
        number: of a sum, its place among those of its month; -1 for a part.
    """

    tenant: str
    month: str
    day: str = ""
    part: str = ""
    number: int = -1

    @property
    def key(self) -> str:
        """`access/{tenant}/{yyyymmdd}/{part}.zst`, or `access/{tenant}/{yyyymm}_{number}.zst`."""
        return access_prefix(self.tenant) + self.name

    @property
    def name(self) -> str:
        """The key behind `access/{tenant}/`."""
        rest = f"{self.day}/{self.part}" if self.day else f"_{self.number:06d}"
        return f"{self.month}{rest}.zst"


def access_prefix(tenant: str | None = None, period: str = "") -> str:
    """Return where a tenant's access log lies, or all of them; of a period, as `yyyymm`."""
    return "access/" if tenant is None else f"access/{tenant}/{period}"


def parse_access_key(key: str) -> AccessKey | None:
    """Return the names in a key of the access log, None for any other key."""
    match = _ACCESS.fullmatch(key)
    if match is None:
        return None
    tenant, month, day, part, number = match.groups(default="")
    return AccessKey(tenant, month, day, part, int(number or -1))
