"""Who everybody is where nobody signs in."""

from pacs_cloud.identity.everybody import Everybody
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action
from unit.identity.accounts_house import HOME, House


def test_they_administer_and_share_nothing() -> None:
    caller = Everybody("default").caller(address=HOME)
    assert (caller.tenant, caller.subject, caller.address) == ("default", "local", HOME)
    assert access.administers(caller)
    denied = {action for action in Action if access.is_bounded(caller, action)}
    assert denied == {Action.SHARE, Action.BREAK_GLASS}


async def test_their_session_is_for_forms_and_lets_in_nobody(house: House) -> None:
    sessions = house.sessions(await house.user("local"))
    token = sessions.unsigned("local")
    csrf = sessions.csrf_of(token)
    assert sessions.is_csrf(token, csrf)
    for subject in ("local", "user:local"):
        assert await sessions.caller(sessions.unsigned(subject), address=HOME) is None
    house.clock.go(7 * 86_400)
    assert sessions.csrf_of(sessions.unsigned("local")) == csrf
    assert sessions.renewed(sessions.unsigned("local")) is None
    south = House(house.objects, house.clock, "south")
    assert not south.sessions(south.accounts()).is_csrf(token, csrf)
