"""Every setting, frozen; the only module that reads the environment.

Precedence: command-line flag > `PACS_…` environment variable > `--config FILE` >
`./pacs.toml` > default.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
    ValidationError,
    field_validator,
    model_validator,
)

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.loopback import is_loopback

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
        return is_loopback(self.host)

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
    tls: bool = False
    tls_name: str = ""
    """What its certificate must be for; empty: `host`."""


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


def parse_pairs(text: object) -> object:
    """Return `a=1,b=2` or `{"a":"1"}` as a table; anything but text unchanged."""
    if not isinstance(text, str):
        return text
    if text.lstrip().startswith("{"):
        return json.loads(text)
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("is not NAME=VALUE,…")
    return {name.strip(): value.strip() for name, _, value in pairs}


def parse_list(text: object) -> object:
    """Return `a,b` or `["a","b"]` in parts; anything but text unchanged."""
    if not isinstance(text, str):
        return text
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def parse_secrets(text: object) -> object:
    """Return `a,b` in parts; anything but text unchanged."""
    if not isinstance(text, str):
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _for_children(secrets: tuple[SecretStr, ...], info: SerializationInfo) -> list[str]:
    """Return the secrets for a process of ours, and nobody else."""
    return [one.get_secret_value() for one in secrets] if info.context is _CHILD else []


_CHILD = {"for": "child"}
"""What tells `_for_children`."""
SECRETS = frozenset({"api_key", "session_secret", "oidc_client_secret"})
"""Settings that no file may hold."""
SECRET_BYTES = 32
"""The least of one."""

Secrets = Annotated[
    tuple[SecretStr, ...], BeforeValidator(parse_secrets), PlainSerializer(_for_children)
]
"""Secrets, the one in use first: never printed, and left out of everything but `child_json`."""


def _one_for_children(secret: SecretStr, info: SerializationInfo) -> str:
    return secret.get_secret_value() if info.context is _CHILD else ""


Secret = Annotated[SecretStr, PlainSerializer(_one_for_children)]
"""One secret; "" where there is none."""

ForNobodyElse = Annotated[SecretStr, PlainSerializer(lambda _: "")]
"""One that not even our own processes are told."""


class SyslogUrl(BaseModel):
    """`tls://HOST:PORT` or `tcp://HOST:PORT`: a syslog server."""

    model_config = ConfigDict(frozen=True)

    scheme: Literal["tls", "tcp"]
    address: Annotated[Address, BeforeValidator(parse_address), PlainSerializer(str)]

    @model_validator(mode="after")
    def _no_patient_in_the_clear(self) -> Self:
        if self.scheme == "tcp" and not self.address.is_loopback:
            raise ValueError("audit messages leave this machine over TLS only: tls://HOST:PORT")
        return self

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"


def parse_syslog_url(text: object) -> object:
    """Return a syslog server's URL in parts; anything but text unchanged."""
    if not isinstance(text, str):
        return text
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(f"{text!r} is not tls://HOST:PORT")
    return {"scheme": scheme, "address": rest if ":" in rest else f"{rest}:6514"}


Origin = Annotated[str, Field(pattern=r"^(\*|null|[a-z][a-z0-9+.\-]*://[^\s/?#,A-Z]+)$")]
"""Where a script comes from, as browsers write it: `https://viewer.example`; `*`: anywhere."""


OidcAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
"""Signatures that need a private key (RFC 7518 3.1, RFC 8037); never `none`, never `HS…`."""


HostName = Annotated[str, Field(pattern=r"^[0-9A-Za-z_]([0-9A-Za-z._\-]{0,252})$")]
"""A name without a port, as clients write it into Host."""


TenantHost = Annotated[HostName, AfterValidator(str.lower)]
"""The same in lower case: names of hosts have no other (RFC 4343)."""


Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A label of studies, as `security.labels` has them."""

Network = Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?$")]
"""An address, or a network as `10.0.0.0/8`."""


class Settings(BaseModel):
    """What every process is told at its start.

    Environment: `PACS_` and the field's name in upper case, e.g. `PACS_DIMSE_PROCESSES=2`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

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
    http_tls_certificate: Path | None = Field(
        None, description="PEM, ours first: HTTP is served over TLS, and plain HTTP is not"
    )
    http_tls_key: Path | None = Field(None, description="its key, PEM; else in the same file")
    dimse: ListenAddress = Address(host="127.0.0.1", port=11112)
    dimse_plain: bool = Field(True, description="whether DICOM is served without TLS, at `dimse`")
    dimse_tls: ListenAddress | None = Field(None, description="where DICOM is served over TLS")
    dimse_tls_certificate: Path | None = Field(
        None, description="PEM, ours first; shown to whoever calls, and to whom we call"
    )
    dimse_tls_key: Path | None = Field(None, description="its key, PEM; else in the same file")
    dimse_tls_ca: Path | None = Field(
        None, description="PEM of those who vouch for our peers, or of the peers' certificates"
    )
    dimse_tls_clients: str = Field(
        "required",
        pattern="^(required|wanted|none)$",
        description="whether who calls over TLS has a certificate",
    )
    dimse_unknown: str = Field(
        "loopback",
        pattern="^(refuse|loopback)$",
        description="which application entities come in that no device describes",
    )
    dimse_tenants: Annotated[Mapping[AeTitle, Tenant], BeforeValidator(parse_pairs)] = Field(
        default_factory=dict, description="whose data, by the AE title called; `aet`: `tenant`'s"
    )
    http_tenants: Annotated[Mapping[TenantHost, Tenant], BeforeValidator(parse_pairs)] = Field(
        default_factory=dict, description="whose data, by the name in Host; elsewhere `tenant`'s"
    )
    aet: AeTitle = "PACS"
    tenant: Tenant = "default"
    no_auth: bool = False
    sensitive_labels: Annotated[frozenset[Label], BeforeValidator(parse_list)] = Field(
        frozenset({"sensitive", "vip"}),
        description="they hide a study from whoever is not named for them; empty: none does",
    )
    break_glass_minutes: float = Field(
        240, gt=0, le=1440, description="for how long broken glass opens studies"
    )
    session_secret: Secrets = Field(
        (), description="signs sessions, 32 bytes or more; several: the first signs, all count"
    )
    public_url: str = Field("", pattern=r"^(https?://[^\s?#]+[^\s?#/])?$")
    oidc_issuer: str = Field(
        "",
        pattern=r"^((https://|http://(127\.0\.0\.1|\[::1\]|localhost)(:|/|$))[^\s?#@]*)?$",
        description="an OpenID provider, as it calls itself; empty: none",
    )
    oidc_client_id: str = Field("", max_length=256, description="what it calls this archive")
    oidc_client_secret: Secret = Field(SecretStr(""), description="empty: a public client")
    oidc_audiences: Annotated[tuple[str, ...], BeforeValidator(parse_list)] = Field(
        (), description="whom bearer tokens are for; none: no bearer token is accepted"
    )
    oidc_name: str = Field(
        "", pattern="^([a-z0-9][a-z0-9-]{0,31})?$", description="of the provider, in subjects"
    )
    oidc_user_claim: str = Field("sub", min_length=1, description="what names a user for ever")
    oidc_name_claim: str = Field("name", min_length=1, description="how pages greet a user")
    oidc_tenant_claim: str = Field("", description="what names a user's tenant; empty: `tenant`")
    oidc_scopes: Annotated[tuple[str, ...], BeforeValidator(parse_list)] = (
        "openid",
        "profile",
        "email",
    )
    oidc_algorithms: Annotated[tuple[OidcAlgorithm, ...], BeforeValidator(parse_list)] = Field(
        get_args(OidcAlgorithm), min_length=1, description="signatures that are believed"
    )
    oidc_userinfo: bool = Field(False, description="whether a sign-in asks for more claims")
    oidc_skew_s: float = Field(60, ge=0, le=300, description="how far its clock may be off")
    oidc_session_minutes: float = Field(
        60, ge=1, le=1440, description="after so long its users' claims are asked for again"
    )
    oidc_ca: Path | None = Field(None, description="PEM to trust, besides the system's")
    oidc_grants: tuple[Mapping[str, Any], ...] = Field(
        (), description="what claims grant: docs/identity-providers.md"
    )
    dimse_processes: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 1) // 2), ge=1, le=256
    )
    web_processes: int = Field(
        default_factory=lambda: min(4, max(1, (os.cpu_count() or 1) // 2)), ge=1, le=256
    )
    max_connections: int = Field(1000, ge=1, le=100_000, description="of one web process")
    http_header_s: float = Field(10, gt=0, le=600, description="for a request's header to come")
    http_rate_per_s: float = Field(
        0, ge=0, description="requests of one address, and of one caller, to one process; 0: any"
    )
    http_sign_ins_per_minute: float = Field(
        60, ge=0, description="of one address, to one process; 0: any number"
    )
    http_proxies: Annotated[tuple[Network, ...], BeforeValidator(parse_list)] = Field(
        (), description="addresses and networks of proxies, whose X-Forwarded-… fields count"
    )
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
    volume_bytes: int = Field(
        512 << 20, ge=16 << 20, description="of series that are seen as volumes, on this machine"
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
    viewer: Path | None = Field(
        None, description="directory of OHIF, once it is installed; else `viewer` in `data`"
    )
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

    audit_required: bool = Field(
        True, description="refuse (503) what cannot be put on record; else it is only logged"
    )
    audit_durable: Literal["disk", "store"] = Field(
        "disk", description="where an event is on record: this machine's disk, or an object"
    )
    audit_seal_s: float = Field(
        300, ge=1, le=86_400, description="how old a part of the trail gets before it is an object"
    )
    audit_retain_days: float = Field(
        0, ge=0, le=36_500, description="how long the store locks these objects, where it can"
    )
    audit_source: str = Field(
        "", max_length=255, description="what audit messages call us; AET@HOST where it is empty"
    )
    audit_syslog: Annotated[SyslogUrl | None, BeforeValidator(parse_syslog_url)] = Field(
        None, description="tls://HOST:PORT of a syslog server; tcp://… on this machine only"
    )
    audit_syslog_ca: Path | None = Field(None, description="PEM of who signs its certificate")
    audit_syslog_certificate: Path | None = Field(None, description="ours, PEM")
    audit_syslog_key: Path | None = Field(None, description="its key, where it is not in there")

    remote: str = Field(
        "", max_length=2048, description="URL of an archive elsewhere, for commands that reach it"
    )
    remote_ca: Path | None = Field(None, description="PEM to trust there, besides the system's")
    api_key: ForNobodyElse = Field(SecretStr(""), description="opens it; or api_key_file")
    api_key_file: Path | None = Field(None, description="of mode 0600; holds the key alone")

    metrics: ListenAddress | None = Field(
        None, description="HOST:PORT where /metrics is read without credentials; none: nowhere"
    )
    otlp: str = Field(
        "",
        pattern=r"^(https?://[^\s?#@]+)?$",
        description="URL of an OpenTelemetry collector (OTLP/HTTP) for traces; empty: none",
    )
    otlp_ratio: float = Field(
        0.1, ge=0, le=1, description="share of the traces that begin here which are recorded"
    )
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

    @field_validator("session_secret")
    @classmethod
    def _long_secrets(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(one.get_secret_value().encode()) < SECRET_BYTES for one in secrets):
            raise ValueError(f"each secret has {SECRET_BYTES} bytes or more")
        return secrets

    @model_validator(mode="after")
    def _dimse_doors(self) -> Self:
        doors = {"dimse": self.dimse} if self.dimse_plain else {}
        if (tls := self.dimse_tls) is not None:
            doors["dimse_tls"] = tls
            if self.dimse_tls_certificate is None:
                raise ValueError("dimse_tls needs dimse_tls_certificate")
            if self.dimse_tls_clients != "none" and self.dimse_tls_ca is None:
                raise ValueError(
                    f"dimse_tls_clients={self.dimse_tls_clients} needs dimse_tls_ca: who vouches"
                    " for them?"
                )
        elif not self.dimse_plain:
            raise ValueError("dimse_plain=false needs dimse_tls: DICOM is served nowhere else")
        for name, address in doors.items():
            if address.is_loopback:
                continue
            if self.no_auth:
                raise ValueError(
                    f"{name}: refusing to listen on {address}: with no_auth only loopback"
                    " addresses are served (127.0.0.1, ::1, localhost)"
                )
            proved = name == "dimse_tls" and self.dimse_tls_clients == "required"
            if self.dimse_unknown != "refuse" and not proved:
                raise ValueError(
                    f"{name}: refusing to listen on {address}: beyond loopback addresses either"
                    " dimse_unknown=refuse, so that only known devices come in, or dimse_tls with"
                    " dimse_tls_clients=required"
                )
        return self

    @model_validator(mode="after")
    def _http_door(self) -> Self:
        if self.http_tls_key is not None and self.http_tls_certificate is None:
            raise ValueError("http_tls_key needs http_tls_certificate")
        if self.http.is_loopback:
            return self
        if self.no_auth:
            raise ValueError(
                f"http: refusing to listen on {self.http}: with no_auth only loopback"
                " addresses are served (127.0.0.1, ::1, localhost)"
            )
        if self.http_tls_certificate is None:
            raise ValueError(
                f"http: refusing to listen on {self.http} without TLS: give http_tls_certificate,"
                " or listen on a loopback address behind a proxy that has TLS"
            )
        return self

    @property
    def tenants(self) -> tuple[str, ...]:
        """Everybody who has a door here, `tenant` first."""
        others = *self.http_tenants.values(), *self.dimse_tenants.values()
        return tuple(dict.fromkeys((self.tenant, *others)))

    @property
    def http_names(self) -> tuple[str, ...]:
        """By which names of hosts `tenant` is reached that are its own."""
        return tuple(name for name, whose in self.http_tenants.items() if whose == self.tenant)

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
    def metrics_files(self) -> Path:
        """Where the processes of this host keep what they count."""
        return self.data.absolute() / "metrics"

    @property
    def audit_journals(self) -> Path:
        """Where events are on record until they are sealed."""
        return self.data.absolute() / "audit"

    @property
    def viewer_folder(self) -> Path:
        """Where OHIF is served from, once it is installed there."""
        return (self.viewer or self.data / "viewer").absolute()

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
        """Return these settings, secrets and all, for `from_child_json` in another process."""
        return self.model_dump_json(context=_CHILD)

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
    if told := sorted(SECRETS & files.keys()):
        raise InvalidRequest(
            f"{told[0]} is a secret: give it as PACS_{told[0].upper()}, in no file"
        )
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


def environment_text(name: str) -> str:
    """Return what a variable of the environment holds that a setting names; "" where none does."""
    return os.environ.get(name, "")


def _environment() -> dict[str, Any]:
    """Return the settings that `PACS_…` variables give; tables and lists as JSON."""
    said: dict[str, Any] = {}
    for name in Settings.model_fields:
        text = os.environ.get(f"PACS_{name.upper()}", "")
        if text[:1] in {"[", "{"} and name in {"destinations", "oidc_grants"}:
            try:
                said[name] = json.loads(text)
            except ValueError as error:
                raise InvalidRequest(f"PACS_{name.upper()} is not JSON: {error}") from error
        elif text:
            said[name] = text
    return said


def _one_line(error: ValidationError) -> str:
    """Say each wrong setting by its name, never by its value: it may be a secret."""
    wrong: list[str] = []
    for fault in error.errors(include_url=False, include_input=False):
        name = ".".join(map(str, fault["loc"])) or "settings"
        if fault["type"] == "extra_forbidden":
            meant = get_close_matches(name, Settings.model_fields, 1)
            wrong.append(
                f"{name} is no setting" + "".join(f": did you mean {one}?" for one in meant)
            )
        else:
            wrong.append(f"{name}: " + fault["msg"].removeprefix("Value error, "))
    return "; ".join(wrong)
