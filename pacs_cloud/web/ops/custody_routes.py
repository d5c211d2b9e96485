"""Every address of the pages about custody and people: what was found wrong, and who may what."""

from typing import Final

from starlette.routing import BaseRoute

from pacs_cloud.web.ops.ae_titles import AE_TITLES, ONE_TITLE, AeTitles
from pacs_cloud.web.ops.all_keys import KEYS, AllKeys
from pacs_cloud.web.ops.all_shares import SHARES, AllShares
from pacs_cloud.web.ops.audit_search import AUDIT, WHO, AuditSearch
from pacs_cloud.web.ops.audit_who import AuditWho
from pacs_cloud.web.ops.checks_page import CHAIN, AuditChain
from pacs_cloud.web.ops.conflicts import CONFLICTS, Conflicts
from pacs_cloud.web.ops.corrections_list import CORRECTIONS, CorrectionsList
from pacs_cloud.web.ops.corrections_new import ATTRIBUTES, MERGE, MOVE, NewCorrections
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.frame import OpsFrame
from pacs_cloud.web.ops.holds_trash import HOLDS, TRASH, Holds, TrashPage
from pacs_cloud.web.ops.integrity import INTEGRITY, Integrity
from pacs_cloud.web.ops.users import USERS, Users
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import resource

_NEW: Final = (MERGE, MOVE, ATTRIBUTES)


def custody_routes(
    kit: PageKit,
    services: CustodyServices | None,
    frame: OpsFrame,
    *,
    sees_host: bool,
    is_shared: bool,
) -> list[BaseRoute]:
    """Return them as routes of the HTTP application; none without services."""
    if services is None:
        return []
    refusals = kit.refusals
    audit = AuditSearch(services, frame)
    chain = AuditChain(services, frame)
    integrity = Integrity(services, frame, sees_host=sees_host, is_shared=is_shared)
    trash = TrashPage(services, frame)
    conflicts = Conflicts(services, frame)
    titles = AeTitles(services, frame)
    corrections = CorrectionsList(services, frame)
    new = NewCorrections(services, frame)
    found: list[BaseRoute] = [
        resource(AUDIT, refusals, get=audit.show),
        resource(CHAIN, refusals, get=chain.show, post=chain.change),
        resource(WHO, refusals, get=AuditWho(services, frame).show),
        resource(f"{AUDIT}/{{file}}", refusals, get=audit.download),
        resource(INTEGRITY, refusals, get=integrity.show, post=integrity.change),
        resource(HOLDS, refusals, get=Holds(services, frame).show),
        resource(TRASH, refusals, get=trash.show, post=trash.restore),
        resource(CONFLICTS, refusals, get=conflicts.show_all),
        resource(f"{CONFLICTS}/{{conflict}}", refusals, get=conflicts.show, post=conflicts.change),
        resource(f"{CONFLICTS}/{{conflict}}/{{picture}}", refusals, get=conflicts.picture),
        resource(CORRECTIONS, refusals, get=corrections.show_all),
        *(resource(path, refusals, get=new.show, post=new.make) for path in _NEW),
        resource(
            f"{CORRECTIONS}/{{correction}}", refusals, get=corrections.show, post=corrections.undo
        ),
        resource(AE_TITLES, refusals, get=titles.show_all),
        resource(ONE_TITLE, refusals, get=titles.show, post=titles.change),
    ]
    if kit.services.everybody is None:
        users, keys = Users(kit, services, frame), AllKeys(kit, services, frame)
        found += [
            resource(USERS, refusals, get=users.show_all, post=users.add),
            resource(f"{USERS}/{{name}}", refusals, get=users.show, post=users.change),
            resource(KEYS, refusals, get=keys.show, post=keys.revoke),
        ]
    if kit.services.sharing is not None:
        shares = AllShares(kit.services.sharing.shares, services, frame)
        found.append(resource(SHARES, refusals, get=shares.show, post=shares.revoke))
    return found
