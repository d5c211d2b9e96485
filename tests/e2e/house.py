"""The whole archive as `serve` wires it, behind a real server, with users who can sign in."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from e2e.browsers import opened
from integration.dicomweb_archive import BOUNDARY, multipart
from pacs_cloud.bootstrap.accounts import accounts_of, api_keys_of
from pacs_cloud.bootstrap.services import Stores, now_us, open_stores
from pacs_cloud.bootstrap.web_application import open_application
from pacs_cloud.bootstrap.worker_role import serve_worker
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.settings import Settings, load_settings
from patience import PATIENCE_S
from web_site import GOOD, serving


@dataclass
class House:
    """An archive that is served.

    Attributes:
        url: where its pages are.
        app: the application behind it.
        settings: its settings.
        stores: its stores.
        accounts: its local users.
    """

    url: str
    app: ASGIApp
    settings: Settings
    stores: Stores
    accounts: Accounts
    _secret: str = ""

    async def user(self, name: str = "anna", *roles: Role) -> None:
        """Make a user whose password is GOOD; an administrator where no role is said."""
        grants = tuple(map(Grant, roles or (Role.ADMIN,)))
        await self.accounts.redeem(await self.accounts.create(name, grants), GOOD)

    @asynccontextmanager
    async def signed_in(
        self, browser: Any, name: str = "anna", *roles: Role, **options: Any
    ) -> AsyncIterator[Any]:
        """Open a page of a new browser profile in which a user of that name is signed in.

        The user is made first. `options` are those of a browser context: its size, touch, …
        """
        await self.user(name, *roles)
        async with opened(browser, self.url, **options) as page:
            await page.goto("/sign-in")
            await page.get_by_label("Name").fill(name)
            await page.get_by_label("Password", exact=True).fill(GOOD)
            await page.keyboard.press("Enter")
            await page.wait_for_url(lambda url: "/sign-in" not in url)
            yield page

    async def store(self, files: Iterable[Path | bytes]) -> None:
        """Store files by STOW-RS, and return when all of them can be found."""
        if not self._secret:  # a further one would be known seconds later
            _, self._secret = await api_keys_of(self.settings, self.stores.objects).create(
                [Grant(Role.ADMIN)], until_us=now_us() + 3_600_000_000, note="test"
            )
        content = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        headers = {"authorization": f"Bearer {self._secret}", "content-type": content}
        async with httpx.AsyncClient(
            base_url=self.url, trust_env=False, timeout=PATIENCE_S
        ) as client:
            for some in _some(files):
                answer = await client.post(
                    "/dicom-web/studies", headers=headers, content=multipart(*some)
                )
                assert answer.status_code == 200, answer.text[:2000]


def _some(files: Iterable[Path | bytes]) -> Iterator[list[bytes]]:
    """Yield the files in requests of a size that goes well."""
    some: list[bytes] = []
    for one in files:
        some.append(one if isinstance(one, bytes) else one.read_bytes())
        if sum(map(len, some)) > 32 << 20:
            yield some
            some = []
    if some:
        yield some


@asynccontextmanager
async def house(folder: Path, *, works: bool = False, **settings: Any) -> AsyncIterator[House]:
    """Serve an archive in `folder`; with `works` a worker does its jobs, too."""
    chosen = load_settings({"data": folder / "data", **settings})
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(chosen, create=True))
        app = await stack.enter_async_context(open_application(chosen, stores, stores.ready))
        if works:
            await stack.enter_async_context(serve_worker(chosen, stores))
        url = await stack.enter_async_context(serving(app))
        yield House(url, app, chosen, stores, accounts_of(chosen, stores.objects))
