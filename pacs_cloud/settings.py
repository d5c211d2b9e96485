"""Every setting, frozen; the only module that reads the environment.

Precedence: command-line flag > `PACS_…` environment variable > `--config FILE` >
`./pacs.toml` > default.
"""

import ipaddress
import json
import os
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
)

from pacs_cloud.errors import InvalidRequest

DEFAULT_CONFIG = Path("pacs.toml")

AeTitle = Annotated[
    str,
    Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]*)$"),
]
"""An application entity title (PS3.5 6.2, VR AE): 1 to 16 characters, no backslash."""

Tenant = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""Whose data: a DNS label, since it becomes part of keys."""


class Ack(StrEnum):
    """When C-STORE answers Success."""

    SPOOL = "spool"
    """Once the instance is on this machine's disk (group fsync)."""
    COMMIT = "commit"
    """Once it is in the object store and the catalogue."""


class Address(BaseModel):
    """Where to listen or connect: `HOST:PORT`; port 0 lets the system choose."""

    model_config = ConfigDict(frozen=True)

    host: str = Field(min_length=1)
    port: int = Field(ge=0, le=65535)

    @property
    def is_loopback(self) -> bool:
        """Whether nothing but this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: object) -> object:
    """Return `HOST:PORT` (or `[IPv6]:PORT`) as an Address; anything else unchanged."""
    if not isinstance(text, str):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Address(host=host.removeprefix("[").removesuffix("]"), port=int(port))


ListenAddress = Annotated[Address, BeforeValidator(parse_address), PlainSerializer(str)]


class Destination(BaseModel):
    """A peer that C-MOVE and `send` may store to, known by its AE title."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aet: AeTitle
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)


def parse_peer(text: object) -> object:
    """Return `AET@HOST:PORT` as a Destination's fields; anything but text unchanged."""
    if not isinstance(text, str):
        return text
    title, at, where = text.rpartition("@")
    if not at:
        raise ValueError("is not AET@HOST:PORT")
    address = parse_address(where)
    assert isinstance(address, Address)
    return {"aet": title, "host": address.host, "port": address.port}


class StoreUrl(BaseModel):
    """`scheme://name?option=value`, e.g. `s3://bucket?endpoint=http://127.0.0.1:8333`.

    Attributes:
        scheme: which adapter.
        name: bucket, table or queue; the path for `file` and `sqlite`.
        options: `endpoint`, `region`, `prefix`, …
    """

    model_config = ConfigDict(frozen=True)

    scheme: str
    name: str
    options: Mapping[str, str] = Field(default_factory=dict)

    def __str__(self) -> str:
        options = "&".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.scheme}://{self.name}" + (f"?{options}" if options else "")


def parse_store_url(text: object) -> object:
    """Return a store's URL in parts; anything but text unchanged."""
    if not isinstance(text, str):
        return text
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError(f"{text!r} has no scheme, such as file:// or s3://")
    if parts.username or parts.password:
        raise ValueError("credentials belong in the environment, never in a URL")
    name = unquote(parts.netloc + parts.path)
    return StoreUrl(
        scheme=parts.scheme, name=name.rstrip("/") or "/", options=dict(parse_qsl(parts.query))
    )


def _of_scheme(*schemes: str) -> Any:
    def check(url: StoreUrl) -> StoreUrl:
        if url.scheme not in schemes:
            raise ValueError(f"{url.scheme}:// is not one of {', '.join(schemes)}")
        if not url.name.strip("/"):
            raise ValueError(f"{url} names nothing")
        return url

    return check


def parse_list(text: object) -> object:
    """Return `a,b` or `["a","b"]` in parts; anything but text unchanged."""
    if not isinstance(text, str):
        return text
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


Origin = Annotated[str, Field(pattern=r"^(\*|null|[a-z][a-z0-9+.\-]*://[^\s/?#,A-Z]+)$")]
"""Where a script comes from, as browsers write it: `https://viewer.example`; `*`: anywhere."""


HostName = Annotated[str, Field(pattern=r"^[0-9A-Za-z_]([0-9A-Za-z._\-]{0,252})$")]
"""A name without a port, as clients write it into Host."""


class Settings(BaseModel):
    """What every process is told at its start.

    Environment: `PACS_` and the field's name in upper case, e.g. `PACS_DIMSE_PROCESSES=2`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    data: Path = Field(Path("data"), description="directory of the spool and the embedded stores")
    objects: Annotated[StoreUrl | None, BeforeValidator(parse_store_url)] = Field(
        None, description="file:///… | s3://bucket?endpoint=…&region=…&prefix=…"
    )
    catalogue: Annotated[StoreUrl | None, BeforeValidator(parse_store_url)] = Field(
        None, description="sqlite:///… | dynamodb://table?endpoint=…&region=…"
    )
    queue: Annotated[StoreUrl | None, BeforeValidator(parse_store_url)] = Field(
        None, description="sqlite:///… | sqs://queue?endpoint=…&region=…"
    )

    http: ListenAddress = Address(host="127.0.0.1", port=8042)
    dimse: ListenAddress = Address(host="127.0.0.1", port=11112)
    aet: AeTitle = "PACS"
    tenant: Tenant = "default"
    no_auth: bool = False
    public_url: str = Field("", pattern=r"^(https?://[^\s?#]+[^\s?#/])?$")
    dimse_processes: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 1) // 2), ge=1, le=256
    )
    web_processes: int = Field(
        default_factory=lambda: min(4, max(1, (os.cpu_count() or 1) // 2)), ge=1, le=256
    )
    max_connections: int = Field(1000, ge=1, le=100_000, description="of one web process")
    http_header_s: float = Field(10, gt=0, le=600, description="for a request's header to come")
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(parse_list)] = ()
    host_names: Annotated[tuple[HostName, ...], BeforeValidator(parse_list)] = ()
    pixel_processes: int = Field(
        default_factory=lambda: min(4, os.cpu_count() or 1),
        ge=1,
        le=256,
        description="processes that work on pixels, of each web and each DIMSE process",
    )
    pixel_cache_bytes: int = Field(
        128 << 20, ge=0, description="of decoded, transcoded and rendered frames, of each process"
    )
    destinations: tuple[Destination, ...] = ()

    ack: Ack = Ack.SPOOL
    conflict_policy: str = Field("keep-first", pattern="^(keep-first|replace|quarantine)$")
    pack_bytes: int = Field(64 << 20, ge=1 << 20, le=1 << 30)
    pack_instances: int = Field(1000, ge=1, le=10_000)
    pack_linger_s: float | None = Field(None, ge=0, le=60, description="0.25 embedded, 1 cloud")
    pack_linger_max_s: float | None = Field(None, ge=0, le=600, description="as linger; 60 cloud")
    pack_age_s: float = Field(10, gt=0, le=600)
    spool_high_water: float = Field(
        0.95, gt=0, le=1, description="share of the spool's disk above which stores are refused"
    )
    spool_backlog_bytes: int = Field(2 << 30, ge=64 << 20)

    max_associations: int = Field(64, ge=1, le=4096)
    max_pdu_bytes: int = Field(131_072, ge=4096, le=16 << 20)
    network_timeout_s: float = Field(60, gt=0, le=3600)
    private_sop_classes: bool = Field(
        False, description="accept SOP classes no standard table names, as storage classes"
    )
    http_delete: bool = Field(True, description="whether DELETE over HTTP is served")
    trash_days: float = Field(
        30, ge=0, le=36_500, description="how long what is deleted can be restored"
    )
    recall_days: int = Field(7, ge=1, le=365, description="how long a recalled copy stays")
    recall_speed: str = Field("Standard", pattern="^(Expedited|Standard|Bulk)$")
    recall_c_move: str = Field(
        "refuse", pattern="^(refuse|wait)$", description="what C-MOVE does with a cold study"
    )
    recall_wait_s: float = Field(
        3600, ge=0, le=604_800, description="how long C-MOVE waits; then the worker sends"
    )
    tier_policies: Path | None = Field(
        None, description="tier policies, TOML, that the worker carries out"
    )
    prefetch_daily_bytes: int = Field(
        200 << 30, ge=0, description="of priors that rules and worklists recall in 24 hours"
    )
    worklist: Annotated[Destination | None, BeforeValidator(parse_peer)] = Field(
        None, description="AET@HOST:PORT of a modality worklist whose patients' priors are recalled"
    )
    worklist_minutes: float = Field(
        15, ge=1, le=1440, description="how often the worker asks that worklist"
    )
    worklist_days: int = Field(1, ge=1, le=30, description="of appointments, today's the first")
    repack_quiet_days: float = Field(
        0, ge=0, le=36_500, description="the worker merges packs of series so old; 0: never"
    )
    fixity_days: float | None = Field(
        None, ge=0, le=36_500, description="packs are read again so often; 90 files, 0 (never) S3"
    )
    fixity_rate_bytes_s: int = Field(
        20 << 20, ge=1 << 10, description="how much of that in a second, at most"
    )
    search_budget: int = Field(50_000, ge=100, description="records one search may examine")
    max_stow_bytes: int = Field(64 << 30, ge=1 << 20, description="of one STOW-RS body")
    stop_grace_s: float = Field(20, ge=0, le=600)

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")

    @field_validator("objects")
    @classmethod
    def _objects_scheme(cls, url: StoreUrl | None) -> StoreUrl | None:
        return url and _of_scheme("file", "s3")(url)

    @field_validator("catalogue")
    @classmethod
    def _catalogue_scheme(cls, url: StoreUrl | None) -> StoreUrl | None:
        return url and _of_scheme("sqlite", "dynamodb")(url)

    @field_validator("queue")
    @classmethod
    def _queue_scheme(cls, url: StoreUrl | None) -> StoreUrl | None:
        return url and _of_scheme("sqlite", "sqs")(url)

    @field_validator("http", "dimse")
    @classmethod
    def _loopback_only(cls, address: Address) -> Address:
        # Until access control lands nothing may be reachable from outside.
        if not address.is_loopback:
            raise ValueError(
                f"refusing to listen on {address}: without access control this release "
                "serves loopback addresses only (127.0.0.1, ::1, localhost)"
            )
        return address

    @property
    def objects_url(self) -> StoreUrl:
        """Where packs lie."""
        return self.objects or StoreUrl(scheme="file", name=str(self.data.absolute() / "objects"))

    @property
    def catalogue_url(self) -> StoreUrl:
        """Where the catalogue lies."""
        return self.catalogue or StoreUrl(
            scheme="sqlite", name=str(self.data.absolute() / "catalogue.sqlite")
        )

    @property
    def queue_url(self) -> StoreUrl:
        """Where jobs wait."""
        return self.queue or StoreUrl(
            scheme="sqlite", name=str(self.data.absolute() / "queue.sqlite")
        )

    @property
    def spool(self) -> Path:
        """Where instances become durable first, whatever the object store."""
        return self.data.absolute() / "spool"

    @property
    def is_embedded(self) -> bool:
        """Whether packs stay on this machine's own file system."""
        return self.objects_url.scheme == "file"

    @property
    def reread_days(self) -> float:
        """In how many days every pack is read again; 0: never.

        A bucket checks what it holds by itself, and asks a price for what is read back from
        its colder classes: there somebody has to want it.
        """
        if self.fixity_days is not None:
            return self.fixity_days
        return 90 if self.objects_url.scheme == "file" else 0

    @property
    def linger_s(self) -> float:
        """How long a series' first pack waits for more."""
        if self.ack is Ack.COMMIT:
            return 0
        return (
            (0.25 if self.is_embedded else 1.0)
            if self.pack_linger_s is None
            else self.pack_linger_s
        )

    @property
    def linger_max_s(self) -> float:
        """What `linger_s` may grow to, doubling with each pack of a series."""
        if self.pack_linger_max_s is not None:
            return max(self.pack_linger_max_s, self.linger_s)
        return self.linger_s if self.is_embedded or self.ack is Ack.COMMIT else 60.0

    @property
    def edge_grace_s(self) -> float:
        """How long a stop waits for associations and requests: half of the time it has."""
        return self.stop_grace_s / 2

    @property
    def commit_grace_s(self) -> float:
        """How long it then waits for commits; what is left stays in the spool."""
        return self.stop_grace_s - self.edge_grace_s

    def child_json(self) -> str:
        """Return these settings for `from_child_json` in another process."""
        return self.model_dump_json()

    @classmethod
    def from_child_json(cls, text: str) -> Self:
        """Return the settings a parent process decided on; its environment counts no more."""
        return cls.model_validate_json(text)


def load_settings(
    flags: Mapping[str, Any] | None = None, *, config: Path | None = None
) -> Settings:
    """Return the settings from every source.

    Args:
        flags: what the command line says, by field name; None values are not said.
        config: a TOML file that must exist; `./pacs.toml` is read where it does.

    Raises:
        InvalidRequest: a file cannot be read, or a value is not allowed; one line.
    """
    said = {name: value for name, value in (flags or {}).items() if value is not None}
    files = _read_toml(DEFAULT_CONFIG) if DEFAULT_CONFIG.is_file() else {}
    if config is not None:
        files |= _read_toml(config)
    try:
        return Settings.model_validate({**files, **_environment(), **said})
    except ValidationError as error:
        raise InvalidRequest(_one_line(error)) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidRequest(f"cannot read config file {path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidRequest(f"config file {path} is not TOML: {error}") from error


def _environment() -> dict[str, Any]:
    """Return the settings that `PACS_…` variables give; tables and lists as JSON."""
    said: dict[str, Any] = {}
    for name in Settings.model_fields:
        text = os.environ.get(f"PACS_{name.upper()}", "")
        if text[:1] in {"[", "{"} and name == "destinations":
            try:
                said[name] = json.loads(text)
            except ValueError as error:
                raise InvalidRequest(f"PACS_{name.upper()} is not JSON: {error}") from error
        elif text:
            said[name] = text
    return said


def _one_line(error: ValidationError) -> str:
    """Say each wrong setting by its name, never by its value: it may be a secret."""
    wrong = [
        f"{'.'.join(map(str, fault['loc'])) or 'settings'}: "
        + fault["msg"].removeprefix("Value error, ")
        for fault in error.errors(include_url=False, include_input=False)
    ]
    return "; ".join(wrong)
