"""Accounts over a real store, with a clock of the test's and hashes that cost little."""

from dataclasses import dataclass, field

import pyotp

from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.passwords import Argon2id

S = 1_000_000
CHEAP = Argon2id(passes=1, memory_kib=8, lanes=1)
CLINICIAN = (Grant(Role.CLINICIAN),)
ADMIN = (Grant(Role.ADMIN),)
GOOD = "horse staple lamp"
OTHER = "lamp staple horse"
HOME, AWAY = "10.0.0.1", "198.51.100.7"
SECRETS = (b"s" * 32,)


@dataclass
class Clock:
    """Stands still until it is told."""

    us: int = 1_790_000_000 * S

    def __call__(self) -> int:
        return self.us

    def go(self, seconds: float) -> None:
        self.us += round(seconds * S)


@dataclass
class House:
    """One archive's accounts, as any number of processes see them."""

    objects: ObjectStore
    clock: Clock = field(default_factory=Clock)
    tenant: str = "default"

    def accounts(self, keep_s: float = 0, argon2id: Argon2id = CHEAP) -> Accounts:
        return Accounts(self.objects, self.tenant, self.clock, keep_s=keep_s, argon2id=argon2id)

    def sessions(self, accounts: Accounts, secrets: tuple[bytes, ...] = SECRETS) -> Sessions:
        return Sessions(accounts, secrets, self.clock)

    async def user(self, name: str = "anna", grants: tuple[Grant, ...] = CLINICIAN) -> Accounts:
        """Make a user whose password is GOOD, set at HOME; return the accounts that know them."""
        accounts = self.accounts()
        secret = await accounts.create(name, grants)
        await accounts.redeem(secret, GOOD, address=HOME)
        return accounts

    def code(self, uri: str) -> str:
        """What the authenticator of this URI shows now."""
        totp = pyotp.parse_uri(uri)
        assert isinstance(totp, pyotp.TOTP)
        return totp.at(self.clock.us // S)

    async def written(self, prefix: str = "") -> dict[str, bytes]:
        """Every object below a prefix."""
        return {
            info.key: await self.objects.get(info.key) async for info in self.objects.list(prefix)
        }
