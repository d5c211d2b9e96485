"""Where the keys come from that objects are encrypted with, and where files are sealed to."""

import asyncio
import base64
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pacs_cloud.errors import InvalidRequest, NotFound, Unavailable
from pacs_cloud.key_file import key_file_text
from pacs_cloud.objectstore.encrypted import Scratch
from pacs_cloud.objectstore.partials import Partials
from pacs_cloud.objectstore.sealing import KeyRing, Rings
from pacs_cloud.objectstore.tenants import tenant_in
from pacs_cloud.settings import environment_text

TENANT = "{tenant}"
"""Stands in a source for the name of whose objects are encrypted."""
KMS_CONTEXT = {"pacs-cloud": "objects"}
"""The encryption context that a key in KMS's cipher text was encrypted with."""


async def rings_of(sources: str, *, region: str = "") -> Rings:
    """Return the keys in `sources`, those of each tenant where one of them says `{tenant}`.

    Args:
        sources: as for `ring_of`; those without `{tenant}` are everybody's, and the only ones
            for what is no tenant's.
        region: likewise.

    Raises:
        InvalidRequest: it is always `{tenant}`, or as `ring_of`.
        Denied, NotFound, Unavailable: as `ring_of`.
    """
    shared = ",".join(one for one in sources.split(",") if TENANT not in one)
    if shared == sources:
        return await ring_of(sources, region=region)
    if not shared.strip():
        raise InvalidRequest(f"encrypt= needs a source without {TENANT}: not all is a tenant's")
    return TenantRings(sources, await ring_of(shared, region=region), region)


class TenantRings:
    """The keys of each tenant, read once they are needed."""

    def __init__(self, sources: str, shared: KeyRing, region: str) -> None:
        """Begin with `shared`, for what is no tenant's; the others as `rings_of`."""
        self._sources = sources
        self._region = region
        self._rings = {"": shared}
        self._reading = asyncio.Lock()

    async def ring_of(self, key: str) -> KeyRing:
        """Return the keys for the object `key`.

        Raises:
            Denied: AWS refuses, or others may read the file.
            Unavailable: they cannot be read, or are not there: not that the object is not.
        """
        tenant = tenant_in(key)
        if (ring := self._rings.get(tenant)) is not None:
            return ring
        async with self._reading:
            if tenant not in self._rings:
                sources = self._sources.replace(TENANT, tenant)
                try:
                    self._rings[tenant] = await ring_of(sources, region=self._region)
                except (NotFound, InvalidRequest) as error:
                    raise Unavailable(f"the keys of {tenant} cannot be had: {error}") from error
            return self._rings[tenant]


async def ring_of(sources: str, *, region: str = "") -> KeyRing:
    """Return the keys in `sources`, the one that seals first.

    Args:
        sources: by commas, `file:PATH` (of mode 0600), `env:VARIABLE` or `secret:NAME`
            (of AWS Secrets Manager). Each holds one key a line: 32 bytes in base64, or
            `kms:` and the base64 of what KMS encrypted them to, in KMS_CONTEXT.
        region: of Secrets Manager and KMS; "" for AWS's own chain.

    Raises:
        InvalidRequest: a source is not one of these, or holds no key.
        Denied: AWS refuses, or others than its owner may read a file.
        NotFound: there is no such file, variable or secret.
        Unavailable: AWS cannot be reached.
    """
    keys: list[bytes] = []
    for source in filter(None, (one.strip() for one in sources.split(","))):
        kind, _, name = source.partition(":")
        match kind:
            case "file":
                text = key_file_text(Path(name))
            case "env":
                text = environment_text(name)
                if not text:
                    raise NotFound(f"{name} is not in the environment")
            case "secret":
                from pacs_cloud.bootstrap.aws_secrets import secret_text

                text = await secret_text(name, region=region)
            case _:
                raise InvalidRequest("encrypt= takes file:PATH, env:VARIABLE or secret:NAME")
        found = [await _key(line, source, region) for line in text.split()]
        if not found:
            raise InvalidRequest(f"{source} holds no key")
        keys += found
    return KeyRing(keys)


async def _key(line: str, source: str, region: str) -> bytes:
    is_wrapped = line.startswith("kms:")
    try:
        key = base64.b64decode(line.removeprefix("kms:"), validate=True)
    except ValueError:
        # Without the error itself, which may hold the key.
        raise InvalidRequest(f"{source} holds no key in base64") from None
    if is_wrapped:
        from pacs_cloud.bootstrap.aws_secrets import decrypted_by_kms

        key = await decrypted_by_kms(key, KMS_CONTEXT, region=region)
    if len(key) != 32:
        raise InvalidRequest(f"{source} holds a key that has not 32 bytes")
    return key


@contextmanager
def folder_scratch(root: Path) -> Generator[Scratch]:
    """Give where a file store's objects are sealed to: beside them, so that they can be linked.

    What a process leaves that is killed is removed by the next one.
    """
    partials = Partials(root)
    try:
        yield partials.new
    finally:
        partials.close()


def bucket_scratch(folder: Path | None = None) -> Scratch:
    """Return where a bucket's objects are sealed to: files without a name, in `folder` or /tmp."""

    @contextmanager
    def new() -> Generator[tuple[str, int]]:
        with tempfile.TemporaryFile(dir=folder) as file:
            yield f"/proc/self/fd/{file.fileno()}", file.fileno()

    return new
