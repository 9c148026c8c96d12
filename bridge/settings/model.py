"""The configuration, key by key: types, defaults and bounds (the public interface), and the checked result.

``Document`` is the main file and ``ConnectionDocument`` one file of ``connections_dir``. They hold what the
user wrote. ``load`` turns them into ``Settings``, with every path and reference resolved. Defaults are
written as the user would write them, and pass the same checks. The order of fields matters if a check reads
an earlier field: ``allow_insecure`` before the address, the first interval before the longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from bridge.records import Job, Policy, Stream
from bridge.retry import RetryPolicy
from bridge.settings import values
from bridge.settings.interval_or_crontab import Timing, parse_timing
from bridge.settings.values import (
    Duration,
    Expressions,
    FilledText,
    NamedText,
    OptionalQueryFile,
    QueryFile,
    Text,
    flatten_expressions,
    invalid_value,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "AdminSettings",
    "AlertsSettings",
    "ConnectionDocument",
    "ConnectionSettings",
    "Document",
    "LedgerDocument",
    "LedgerSettings",
    "LogSettings",
    "SalestrekkerSettings",
    "ScheduleSettings",
    "Settings",
    "StreamSettings",
    "TrakorSettings",
    "WebhooksSettings",
]

_NOT_EXPRESSIONS = ("id", "name")


def _parsed_default(default: str) -> Any:  # noqa: ANN401 - as Field itself
    """Return a field whose default is written as the user would write it, and parsed like any other value."""
    return Field(default=default, validate_default=True)


class Section(BaseModel):
    """A table of the document: frozen, without unknown keys, and with strict types.

    With ``defer_build``, pydantic makes the validators at the first use, not at import.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        defer_build=True,
    )


class AddressedSection(Section):
    """A table with an address. Plain http is refused for other machines, unless the user allows it."""

    allow_insecure: bool = False

    @field_validator("url", "public_url", "heartbeat_url", check_fields=False)
    @classmethod
    def _require_https(cls, value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        url = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
        if not info.data.get("allow_insecure", True) and values.is_plain_and_remote(url):
            raise invalid_value(
                "must be https:// (or set allow_insecure = true in this table: others can then read keys"
                " and data on the way)"
            )
        return value


class _RetryingSection(AddressedSection):
    """A table with growing waits. The first wait may not be longer than the longest."""

    retry_first: float
    retry_max: float
    probe_first: float
    probe_max: float

    @property
    def retry(self) -> RetryPolicy:
        """The waits before one failed request is repeated."""
        return RetryPolicy(self.retry_first, self.retry_max)

    @property
    def probe(self) -> RetryPolicy:
        """The waits between probes while the system is down or refuses."""
        return RetryPolicy(self.probe_first, self.probe_max)

    @field_validator("retry_max", "probe_max", check_fields=False)
    @classmethod
    def _check_maximum(cls, value: float, info: ValidationInfo) -> float:
        first = str(info.field_name).replace("_max", "_first")
        if value < info.data.get(first, 0.0):
            raise invalid_value(f"must not be less than {first}")
        return value


class SalestrekkerSettings(_RetryingSection):
    """Where records come from. Either an API key or a log-in is required, not both."""

    url: values.HttpUrl = "https://app.salestrekker.com/graphql"
    api_key: values.ApiKey | None = None
    email: values.Email | None = None
    password: values.Password | None = None
    organization: NamedText = ""
    max_in_flight: int = Field(default=4, ge=1, le=64)
    requests_per_minute: int = Field(default=120, ge=1, le=1_000_000)
    ids_per_request: int = Field(default=25, ge=1, le=200)
    timeout: Annotated[Duration, within("100ms", "10m")] = _parsed_default("30s")
    renew_before: Annotated[Duration, within("0s", "60d")] = _parsed_default("2d")
    retry_first: Annotated[Duration, within("1ms", "1h")] = _parsed_default("1s")
    retry_max: Annotated[Duration, within("1ms", "1d")] = _parsed_default("1m")
    probe_first: Annotated[Duration, within("1ms", "1h")] = _parsed_default("30s")
    probe_max: Annotated[Duration, within("1ms", "1d")] = _parsed_default("15m")

    @field_validator("password")
    @classmethod
    def _require_one_credential(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if not {"api_key", "email"} <= info.data.keys():
            return value  # one of them has an error of its own
        has_key, has_email = info.data["api_key"] is not None, info.data["email"] is not None
        if has_key and (has_email or value is not None):
            raise invalid_value("must not be given together with api_key: give a key, or e-mail and password")
        if not has_key and has_email != (value is not None):
            raise invalid_value("must be given together with email" if has_email else "needs email as well")
        if not has_key and not has_email:
            raise invalid_value("is missing (or give api_key_file with the path of a file)", at="api_key")
        return value


class TrakorSettings(_RetryingSection):
    """Where records go."""

    url: values.BaseUrl
    api_key: values.ApiKey
    scope: NamedText = ""
    max_in_flight: int = Field(default=16, ge=1, le=512)
    requests_per_second: float = Field(default=0.0, ge=0, le=1_000_000)
    timeout: Annotated[Duration, within("100ms", "10m")] = _parsed_default("30s")
    retry_first: Annotated[Duration, within("1ms", "1h")] = _parsed_default("1s")
    retry_max: Annotated[Duration, within("1ms", "1d")] = _parsed_default("5m")
    unanswered_wait: Annotated[Duration, within("0s", "1h")] = _parsed_default("150s")
    probe_first: Annotated[Duration, within("1ms", "1h")] = _parsed_default("30s")
    probe_max: Annotated[Duration, within("1ms", "1d")] = _parsed_default("15m")


class _Map(Section):
    """JMESPath expressions over one record. The built-in one applies to each key that is not given."""

    id: Text | None = None
    name: Text | None = None
    same_as: Expressions | None = None
    qualifier: Text | None = None

    @field_validator(*_NOT_EXPRESSIONS)
    @classmethod
    def _require_text(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise invalid_value("must not be empty: leave it out for the built-in expression")
        return value


class ContactMap(_Map):
    """The expressions that turn a contact into a Trakor party."""

    contact_info: Text | None = None


class ProductMap(_Map):
    """The expressions that turn a product into a Trakor product."""

    description: Text | None = None
    price: Text | None = None


class StreamSettings(Section):
    """How one stream is read, mapped and decided."""

    enabled: bool = True
    list_query: QueryFile
    one_query: OptionalQueryFile
    page_size: int = Field(default=100, ge=1, le=1000)
    where: Text = "isActive != `false`"
    on_same_name: Literal["qualify", "hold", "merge"] = "qualify"
    on_rename: Literal["hold", "create"] = "hold"
    on_change: Literal["report", "ignore"] = "report"
    on_existing: Literal["adopt", "hold"] = "adopt"
    expressions: _Map = Field(default_factory=_Map, alias="map")

    @property
    def map(self) -> dict[str, str]:
        """The user's expressions by key. An expression in a table has a key such as ``same_as.email``."""
        given = self.expressions.model_dump(exclude_none=True)
        return {
            name: text
            for key, value in given.items()
            for name, text in flatten_expressions(key, value).items()
        }

    def policy(self) -> Policy:
        """Return the ``on_…`` keys in the form that ``bridge/decision`` takes."""
        return Policy(
            on_same_name=self.on_same_name,
            on_rename=self.on_rename,
            on_change=self.on_change,
            on_existing=self.on_existing,
        )


class ContactsSettings(StreamSettings):
    """Salestrekker contacts become Trakor parties."""

    list_query: QueryFile = Stream.CONTACTS.spec.list_query
    one_query: OptionalQueryFile = Stream.CONTACTS.spec.query_by_id
    expressions: ContactMap = Field(default_factory=ContactMap, alias="map")


class ProductsSettings(StreamSettings):
    """Salestrekker products become Trakor products."""

    list_query: QueryFile = Stream.PRODUCTS.spec.list_query
    one_query: OptionalQueryFile = Stream.PRODUCTS.spec.query_by_id
    expressions: ProductMap = Field(default_factory=ProductMap, alias="map")


_Timing = Annotated[Timing, BeforeValidator(parse_timing)]


class ScheduleSettings(Section):
    """When the daemon reads, and how far it trusts a short sweep."""

    # The default is not looked up: a machine without a time zone database can still do a backfill.
    timezone: values.TimeZone = Field(default="Australia/Sydney", validate_default=False)
    contacts: _Timing = _parsed_default(Stream.CONTACTS.spec.timing)
    products: _Timing = _parsed_default(Stream.PRODUCTS.spec.timing)
    reconcile: _Timing = _parsed_default("30 2 * * *")
    gone_limit: float = Field(default=0.2, ge=0, le=1)

    def timing(self, job: Job | Stream) -> Timing:
        """Return when a job is due. For a stream: when that stream alone is swept."""
        timing: Timing = getattr(self, job.value)
        return timing


class WebhookTokenSettings(Section):
    """The part of ``[webhooks]`` that each connection has for itself."""

    token: values.TokenPair | None = None


class WebhooksSettings(WebhookTokenSettings, AddressedSection):
    """The listener that Salestrekker posts to."""

    host: FilledText = "0.0.0.0"  # noqa: S104 - its purpose
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: values.BaseUrl | None = None
    allow_from: values.Networks = ()
    trusted_proxies: values.Networks = ()
    max_body_bytes: int = Field(default=262_144, ge=1024, le=16_777_216)
    debounce: Annotated[Duration, within("0s", "1m")] = _parsed_default("1s")


class AdminSettings(Section):
    """Status page, health and metrics."""

    host: FilledText = "127.0.0.1"
    port: int = Field(default=9090, ge=0, le=65535)
    hosts: values.HostNames = ()
    password: SecretStr = _parsed_default("")

    @field_validator("password")
    @classmethod
    def _require_password(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        host = info.data.get("host", "localhost")
        if not value and not values.is_loopback(host):
            raise invalid_value("is required, since host is not a loopback address")
        return value


class LedgerDocument(Section):
    """Where the ledger is, its key, and how long it stores what."""

    url: values.LedgerUrl = _parsed_default("sqlite:///ledger.db")
    key: values.LedgerKey = _parsed_default("")
    keep: Literal["sealed", "hashes"] = "sealed"
    keep_history: Annotated[Duration, within("1d", "3650d")] = _parsed_default("400d")


class AlertsSettings(AddressedSection):
    """Who receives alerts."""

    urls: values.AlertUrls = ()
    heartbeat_url: values.HeartbeatUrl = _parsed_default("")


class LogSettings(Section):
    """The log's level and format."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class _Streams(Section):
    """The sections that both kinds of document have, apart from the two systems."""

    contacts: ContactsSettings = Field(default_factory=ContactsSettings)
    products: ProductsSettings = Field(default_factory=ProductsSettings)
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings)

    @property
    def streams(self) -> dict[Stream, StreamSettings]:
        """The section of each stream."""
        return {stream: getattr(self, stream.value) for stream in Stream}


class ConnectionDocument(_Streams):
    """A file of ``connections_dir``: another pair of organisations."""

    salestrekker: SalestrekkerSettings
    trakor: TrakorSettings
    webhooks: WebhookTokenSettings = Field(default_factory=WebhookTokenSettings)


class Document(_Streams):
    """The main file. Without ``salestrekker`` and ``trakor``, it has no pair of its own."""

    PAIR: ClassVar[tuple[str, ...]] = ("salestrekker", "trakor", *Stream, "schedule")

    connections_dir: values.Folder = ""
    salestrekker: SalestrekkerSettings | None = None
    trakor: TrakorSettings | None = None
    webhooks: WebhooksSettings = Field(default_factory=WebhooksSettings)
    admin: AdminSettings = Field(default_factory=AdminSettings)
    ledger: LedgerDocument = Field(default_factory=LedgerDocument)
    alerts: AlertsSettings = Field(default_factory=AlertsSettings)
    log: LogSettings = Field(default_factory=LogSettings)


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One pair of organisations.

    Attributes:
        name: ``default``, or the name of the connection's file in ``connections_dir``.
        salestrekker: Where records come from.
        trakor: Where records go.
        streams: How each stream is read, mapped and decided.
        schedule: When the daemon reads.
        webhook_tokens: The secret parts of the webhook addresses: none, one, or two while one replaces
            the other.
    """

    name: str
    salestrekker: SalestrekkerSettings
    trakor: TrakorSettings
    streams: Mapping[Stream, StreamSettings]
    schedule: ScheduleSettings
    webhook_tokens: tuple[SecretStr, ...] = ()

    def secrets(self) -> list[SecretStr | None]:
        """Return the connection's values that must never be shown."""
        source = self.salestrekker
        return [source.api_key, source.password, self.trakor.api_key, *self.webhook_tokens]

    @property
    def scope(self) -> str:
        """The Trakor organisation in which names are claimed."""
        return self.trakor.scope or self.name

    def stream(self, stream: Stream) -> StreamSettings:
        """Return the settings of one stream."""
        return self.streams[stream]


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Where the ledger is, its key, and how long it stores what.

    Attributes:
        url: The address as given. It can contain a password.
        path: The absolute path of the file; None if the ledger is not a file.
        key: The secret for hashes and encryption; None means the file ``ledger.key`` beside the ledger.
        keep_history: For how many seconds the lines of the history are stored.
        keep: ``sealed`` stores what was sent, encrypted. ``hashes`` stores only its hash.
    """

    url: SecretStr
    path: Path | None
    key: SecretStr | None
    keep_history: float
    keep: str = "sealed"


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, validated.

    Attributes:
        folder: The absolute path of the configuration file's folder, where ``queries/`` is.
        connections: Name -> connection, at least one. ``default`` comes first, then the others by name.
        ledger: Where the ledger is, and its key.
        log: The log's level and format.
        webhooks: The listener for Salestrekker's webhooks.
        admin: The listener for the status page.
        alerts: Who receives alerts.
    """

    folder: Path
    connections: Mapping[str, ConnectionSettings]
    ledger: LedgerSettings
    log: LogSettings
    webhooks: WebhooksSettings
    admin: AdminSettings
    alerts: AlertsSettings

    def secrets(self) -> frozenset[str]:
        """Return every secret value, for code that must hide them."""
        secrets = [self.admin.password, self.alerts.heartbeat_url, *self.alerts.urls, self.ledger.key]
        for connection in self.connections.values():
            secrets += connection.secrets()
        texts = [secret.get_secret_value() for secret in secrets if secret]
        return frozenset([*texts, *_password(self.ledger.url.get_secret_value())])


def _password(url: str) -> Iterator[str]:
    """Yield the password in a ledger's address, if there is one."""
    user, at, _host = url.partition("://")[2].rpartition("@")
    _name, _colon, password = user.partition(":")
    if at and password:
        yield password
