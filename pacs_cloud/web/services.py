"""What the pages need of the rooms below."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.break_glass import BreakGlass
from pacs_cloud.identity.everybody import Everybody
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.web.local_paths import HOME, STUDIES
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.web.study_services import StudyServices


@dataclass(frozen=True, slots=True)
class WebServices:
    """What the pages are made of.

    Attributes:
        tenant: whose archive it is, as far as nobody has signed in.
        accounts: local users.
        sessions: of whoever is signed in.
        keys: API keys.
        secrets: what sessions are signed with, the newest first.
        now_us: the time, microseconds since 1970 UTC.
        record: puts on record who has signed in, or could not, and what they changed.
        oidc: the provider that vouches for people; None without one.
        provider_name: what the button to it calls it; "": in general words.
        public_url: what clients call this archive, when a proxy changes it.
        sharing: opens links for guests; None: links lead nowhere.
        glass: opens studies in an emergency; None: nobody breaks it here.
        studies: finds and shows studies; None: no page does.
        ops: shows what the archive does; None: no page does.
        everybody: whoever asks, where nobody signs in; None: people do.
    """

    tenant: str
    accounts: Accounts
    sessions: Sessions
    keys: ApiKeys
    secrets: Sequence[bytes] = field(repr=False)
    now_us: Callable[[], int]
    record: Callable[[AuditEvent], Awaitable[None]]
    oidc: OidcProvider | None = None
    provider_name: str = ""
    public_url: str = ""
    sharing: ShareServices | None = None
    glass: BreakGlass | None = None
    studies: StudyServices | None = None
    ops: OpsServices | None = None
    everybody: Everybody | None = None

    @property
    def start(self) -> str:
        """Where somebody lands who signs in, and was on the way to no other page."""
        return HOME if self.studies is None else STUDIES
