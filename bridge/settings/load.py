"""Loads ``Settings`` from file and environment, or raises all errors at once.

::

    config.toml ── sources ──┐                      connections.d/*.toml ── sources ──┐
                             ├──> ConfigurationSource ──> secrets from X_file ──> model ──> Settings
    TRAKOR_BRIDGE_… ── environment ──┘         (each step adds its errors to the source)

``ConfigurationError`` is raised outside of every ``except``. Otherwise a pydantic error would be its context,
and would put the inputs, secrets among them, into the traceback.
"""

from __future__ import annotations

import os
import re
from itertools import combinations, islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from bridge.errors import ConfigurationError
from bridge.settings.configuration_source import ConfigurationSource, read_secrets, read_toml
from bridge.settings.model import (
    ConnectionDocument,
    ConnectionSettings,
    Document,
    LedgerDocument,
    LedgerSettings,
    Settings,
)
from bridge.settings.setting_names import ENV_PREFIX, FILE_SUFFIX, MAX_PATH, document_keys, dotted, printable
from bridge.settings.validation_errors import describe_validation_errors, find_unsupported_values
from bridge.settings.values import sqlite_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.settings.model import SalestrekkerSettings, TrakorSettings

__all__ = ["CONFIG_VARIABLE", "DEFAULT_CONNECTION", "DEFAULT_FILE", "connection_file", "load"]

CONFIG_VARIABLE = "TRAKOR_BRIDGE_CONFIG"
DEFAULT_FILE = "config.toml"
DEFAULT_CONNECTION = "default"

MAX_ERRORS = 100
"""More errors than anybody corrects at once. The limit keeps a file of nonsense from filling the screen."""

_REQUIRED = (("trakor", "url"), ("trakor", "api_key"))
_CONNECTION_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_Model = TypeVar("_Model", bound=BaseModel)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Load and validate the configuration.

    Args:
        path: The file that the user named with ``--config``. None means ``$TRAKOR_BRIDGE_CONFIG``, or else
            ``./config.toml``, which may be absent if the environment has every required key.
        environ: The environment, such as ``os.environ``.

    Raises:
        ConfigurationError: All errors, each with its place.
    """
    main = _main_source(path, environ)
    others = _connection_sources(main)
    document = _main_document(main, others)
    connections = _connections(main, document, others)
    errors = [error for source in (main, *others.values()) for error in source.errors]
    if document is None or errors:
        raise ConfigurationError(_limit_errors(errors))
    return Settings(
        folder=main.folder,
        connections=MappingProxyType(connections),
        ledger=_ledger(document.ledger, main.folder),
        log=document.log,
        webhooks=document.webhooks,
        admin=document.admin,
        alerts=document.alerts,
    )


def connection_file(path: Path | None, environ: Mapping[str, str], connection: str) -> Path | None:
    """The file that configures a connection; None if only the environment does.

    Args:
        path: As for ``load``.
        environ: As for ``load``.
        connection: The connection's name.
    """
    main = _main_source(path, environ)
    file = main.folder / main.label
    if connection != DEFAULT_CONNECTION:
        file = main.folder / str(main.data.get("connections_dir")) / f"{connection}.toml"
    return file if file.is_file() else None


def _main_source(path: Path | None, environ: Mapping[str, str]) -> ConfigurationSource:
    """Read the main file and apply the environment to it."""
    named = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    file = (named or Path(DEFAULT_FILE)).absolute()  # not resolved: a mounted file can be a symbolic link
    source = ConfigurationSource(label=printable(file.name), folder=file.parent, main=True)
    source.exists = os.path.lexists(file)
    if source.exists:
        source.data, source.errors = read_toml(file, source.label)
    elif named is not None:
        source.errors.append(_missing_file_error(file))
    source.readable = not source.errors
    ours = {
        name: environ[name] for name in environ if name.startswith(ENV_PREFIX) and name != CONFIG_VARIABLE
    }
    if ours:
        from bridge.settings.environment_overlay import apply_environment  # noqa: PLC0415 - takes 60 ms

        apply_environment(source, ours, document_keys(Document))
    return source


def _missing_file_error(file: Path) -> str:
    return (
        f"{printable(file.name)}: there is no configuration file at {printable(str(file), MAX_PATH)}:"
        " write one with `trakor-bridge init`,"
        " copy config.example.toml there and fill it in,"
        f" name another file with --config or {CONFIG_VARIABLE},"
        " or try the bridge first: `trakor-bridge sandbox` prints a configuration"
    )


def _connection_sources(main: ConfigurationSource) -> dict[str, ConfigurationSource]:
    """Read each ``*.toml`` of ``connections_dir``, by the connection's name."""
    given = main.data.get("connections_dir")
    if not isinstance(given, str) or not given.isprintable() or not given:
        return {}
    try:
        files = sorted(file for file in (main.folder / given).iterdir() if file.suffix == ".toml")
    except OSError as error:
        main.errors.append(main.error_at(("connections_dir",), f"cannot be read: {error.strerror}"))
        return {}
    return {file.stem: _connection_source(file) for file in files}


def _connection_source(file: Path) -> ConfigurationSource:
    label = f"{printable(file.parent.name)}/{printable(file.name)}"
    data, errors = read_toml(file, label)
    source = ConfigurationSource(
        label=label, folder=file.parent, data=data, errors=errors, readable=not errors
    )
    if file.stem == DEFAULT_CONNECTION or not _CONNECTION_NAME.fullmatch(file.stem):
        errors.append(
            f"{label}: the file's name is also the connection's name: use lower-case letters, digits and -,"
            " but not default"
        )
    return source


def _main_document(main: ConfigurationSource, others: Mapping[str, ConfigurationSource]) -> Document | None:
    """Validate the main document.

    Its own pair is required if the file gives any of the pair, or if there is no other connection.
    """
    if not main.readable:
        return None
    if not main.exists and not others and _incomplete(main):
        main.errors.insert(0, _missing_file_error(main.folder / main.label))
        if not main.data:
            return None
    if not others or any(main.data.get(section) for section in Document.PAIR):
        for section in ("salestrekker", "trakor"):
            main.data.setdefault(section, {})
    return _validate(Document, main)


def _incomplete(main: ConfigurationSource) -> bool:
    """Whether a required key is missing: neither its value nor the path of its file is given."""
    return any(
        main.get((*table, key)) is None and main.get((*table, key + FILE_SUFFIX)) is None
        for *table, key in _REQUIRED
    )


def _validate(model: type[_Model], source: ConfigurationSource) -> _Model | None:
    """Return a source as its document. Return None if it has errors, which are added to the source."""
    known = document_keys(model)
    read_secrets(source, known)
    source.errors += find_unsupported_values(source)
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        source.errors += islice(describe_validation_errors(error, source, known), MAX_ERRORS + 1)
    return None


def _connections(
    main: ConfigurationSource, document: Document | None, others: Mapping[str, ConfigurationSource]
) -> dict[str, ConnectionSettings]:
    """Return all connections without errors, with that of the main file first."""
    connections = {}
    if document is not None and document.salestrekker is not None and document.trakor is not None:
        connections[DEFAULT_CONNECTION] = _connection(
            DEFAULT_CONNECTION, document, document.salestrekker, document.trakor
        )
    for name, source in others.items():
        other = _validate(ConnectionDocument, source) if source.readable else None
        if other is not None:
            connections[name] = _connection(name, other, other.salestrekker, other.trakor)
    _refuse_shared_organizations(connections, {DEFAULT_CONNECTION: main, **others})
    return connections


def _connection(
    name: str,
    document: Document | ConnectionDocument,
    salestrekker: SalestrekkerSettings,
    trakor: TrakorSettings,
) -> ConnectionSettings:
    return ConnectionSettings(
        name=name,
        salestrekker=salestrekker,
        trakor=trakor,
        streams=document.streams,
        schedule=document.schedule,
        webhook_tokens=document.webhooks.token or (),
    )


def _refuse_shared_organizations(
    connections: Mapping[str, ConnectionSettings], sources: Mapping[str, ConfigurationSource]
) -> None:
    """Refuse two connections that send to one Trakor organisation but claim names in different scopes.

    Both could send the same name.
    """
    for first, second in combinations(connections.values(), 2):
        one, other = first.trakor, second.trakor
        shared = (one.url, one.api_key) == (other.url, other.api_key)
        if shared and not (one.scope and one.scope == other.scope):
            sources[second.name].errors.append(
                sources[second.name].error_at(
                    ("trakor", "scope"),
                    f"must be the same as {dotted(('trakor', 'scope'))} of the connection {first.name}: both"
                    " have the same Trakor address and key",
                )
            )


def _ledger(document: LedgerDocument, folder: Path) -> LedgerSettings:
    file = sqlite_file(document.url.get_secret_value())
    return LedgerSettings(
        url=document.url,
        path=None if file is None else folder / file,
        key=document.key or None,
        keep_history=document.keep_history,
        keep=document.keep,
    )


def _limit_errors(errors: list[str]) -> list[str]:
    if len(errors) <= MAX_ERRORS:
        return errors
    return [*errors[:MAX_ERRORS], "… and more: correct these first"]
