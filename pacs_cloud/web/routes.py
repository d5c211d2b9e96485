"""Every address of the pages."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pacs_cloud.web.account import Account
from pacs_cloud.web.assets import Assets
from pacs_cloud.web.break_glass import BreakGlassPage
from pacs_cloud.web.codes import Codes
from pacs_cloud.web.light.routes import light_routes
from pacs_cloud.web.local_paths import BREAK_GLASS, HOME, SHARES, STUDIES
from pacs_cloud.web.oidc import CALLBACK, END, START, OidcPages
from pacs_cloud.web.ops.routes import ops_routes
from pacs_cloud.web.own_keys import OwnKeys
from pacs_cloud.web.own_shares import OwnShares
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Refusals, see_other
from pacs_cloud.web.resource import resource
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_routes import share_routes
from pacs_cloud.web.sign_in import SignIn, SignOut
from pacs_cloud.web.studies.actions import actions_routes
from pacs_cloud.web.studies.routes import studies_routes
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.upload.routes import upload_routes
from pacs_cloud.web.viewer.routes import viewer_routes
from pacs_cloud.web.visits import Visits
from pacs_cloud.web.welcome import Welcome

OPEN_FOLDERS: Final = ("/static/", "/share/")
"""Below these lies what anybody may ask for."""


def open_paths(found: Sequence[BaseRoute]) -> frozenset[str]:
    """Return the addresses to which anybody may come: pages look themselves who it is.

    Whoever is not signed in is sent to the sign-in page, which a refusal at the door would
    keep from them.
    """
    paths = {route.path for route in found if isinstance(route, Route)}
    return frozenset(path for path in paths if "{" not in path)


def routes(services: WebServices) -> list[BaseRoute]:
    """Return the pages as routes of the HTTP application."""
    assets = Assets()
    templates = Templates(assets, signs_in=services.everybody is None)
    kit = PageKit(services, templates, Refusals(templates), Visits(services))
    found: list[BaseRoute] = [
        resource("/static/{version}/{path:path}", kit.refusals, get=assets.answer)
    ]
    if services.everybody is None:
        found += _routes_of_people(kit)
    if services.studies is None:
        found.append(resource(STUDIES, kit.refusals, get=_home))
    else:
        for of_studies in (
            *(studies_routes, actions_routes, upload_routes),
            *(viewer_routes, light_routes),
        ):
            found += of_studies(kit, services.studies)
    if services.ops is not None:
        found += ops_routes(kit, services.ops)
    return found


def _routes_of_people(kit: PageKit) -> list[BaseRoute]:
    """Return where people come in, what they have of their own, and what they share."""
    services, templates = kit.services, kit.templates
    refusals, visits = kit.refusals, kit.visits
    sign_in = SignIn(services, templates, visits)
    sign_out = SignOut(services, templates, visits)
    welcome = Welcome(services, templates, visits)
    keys = OwnKeys(services, templates, visits)
    account = Account(services, templates, visits, keys)
    codes = Codes(services, templates, visits, account)
    found: list[BaseRoute] = [
        resource("/sign-in", refusals, get=sign_in.show, post=sign_in.enter),
        resource("/sign-out", refusals, get=sign_out.show, post=sign_out.leave),
        resource("/welcome", refusals, get=welcome.show, post=welcome.redeem),
        resource(HOME, refusals, get=account.show),
        resource(f"{HOME}/password", refusals, get=_home, post=account.change_password),
        resource(f"{HOME}/codes", refusals, get=_home, post=codes.begin),
        resource(f"{HOME}/codes/confirm", refusals, get=_home, post=codes.confirm),
        resource(f"{HOME}/codes/drop", refusals, get=_home, post=codes.drop),
        resource(f"{HOME}/keys", refusals, get=_home, post=keys.make),
        resource(f"{HOME}/keys/revoke", refusals, get=_home, post=keys.revoke),
    ]
    if services.oidc is not None:
        oidc = OidcPages(services, services.oidc, visits, refusals)
        found += [
            resource(START, refusals, get=oidc.start),
            resource(CALLBACK, refusals, get=oidc.callback),
            resource(END, refusals, get=oidc.end),
        ]
    if services.glass is not None:
        glass = BreakGlassPage(services, services.glass, templates, visits)
        found += [
            resource(BREAK_GLASS, refusals, get=glass.show, post=glass.open),
            resource(f"{BREAK_GLASS}/end", refusals, get=glass.show, post=glass.end),
        ]
    if services.sharing is not None:
        found += share_routes(services, services.sharing, templates, refusals, visits)
        shares = OwnShares(services, services.sharing, templates, visits)
        found += [
            resource(SHARES, refusals, get=shares.show, post=shares.make),
            resource(f"{SHARES}/revoke", refusals, get=shares.show, post=shares.revoke),
        ]
    return found


async def _home(request: Request) -> Response:
    """Send a browser to the page that everybody has; forms are found there too."""
    del request
    return see_other(HOME)
