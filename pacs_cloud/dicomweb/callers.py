"""Who makes a request: found out once, before it is routed, and asked for by every resource."""

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, TypeAlias

from starlette.requests import Request

from pacs_cloud.errors import Denied, Unidentified
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import CALLER, Caller, caller_in
from pacs_cloud.security.witness import Witness

Identify: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Caller | None]]
"""Returns who makes the request of an ASGI scope, None where nobody knows.

Raises Denied for somebody who is known and may not come in, Unavailable where it cannot be found
out now."""


def everybody_is(caller: Caller) -> Identify:
    """Return what takes every request for `caller`'s, wherever it comes from."""

    async def identify(scope: Mapping[str, Any]) -> Caller:
        client = scope.get("client")
        return replace(caller, address=client[0] if client else "")

    return identify


def caller_of(request: Request) -> Caller:
    """Return who makes a request; raises Unidentified where nobody knows."""
    return caller_in(request.scope)


class Door:
    """Lets requests in: whoever makes them is known, or asks for what anybody may."""

    def __init__(
        self,
        identify: Identify,
        witness: Witness,
        tenant: str,
        open_paths: Collection[str],
        open_folders: Collection[str] = (),
    ) -> None:
        """Let in whom `identify` knows.

        Args:
            identify: tells who makes a request.
            witness: puts on record who was not let in.
            tenant: at whose door that is.
            open_paths: what anybody may ask for.
            open_folders: all that is below these, which end in `/`, likewise.
        """
        self._identify = identify
        self._witness = witness
        self._tenant = tenant
        self._open_paths = frozenset(open_paths)
        self._open_folders = tuple(open_folders)

    async def enter(self, scope: MutableMapping[str, Any]) -> None:
        """Note who makes a request.

        Raises:
            Unidentified: nobody knows, and what is asked for is not for anybody.
            Denied, Unavailable: as `Identify`.
        """
        try:
            caller = await self._identify(scope)
            if caller is None and not self._is_open(scope):
                raise Unidentified("nobody is signed in")
        except Denied:
            await self._refuse(scope)
            raise
        if caller is not None:
            scope[CALLER] = caller

    async def _refuse(self, scope: Mapping[str, Any]) -> None:
        client = scope.get("client")
        stranger = Caller(self._tenant, "", (), client[0] if client else "")
        recorded = self._witness.saw(
            stranger, Kind.REFUSAL, action=scope["method"], outcome=Outcome.MINOR
        )
        if recorded is not None:
            await recorded

    def _is_open(self, scope: Mapping[str, Any]) -> bool:
        path: str = scope["path"]
        return (
            scope["method"] == "OPTIONS"  # says what there is, and asks nothing of the archive
            or path in self._open_paths
            or path.startswith(self._open_folders)
        )
