"""`trakor-bridge init`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Generic, TypeAlias, TypeVar

import typer

from bridge.cli.command_setup import ConfigOption, LogFormatOption, LogLevelOption  # noqa: TC001 - Typer reads them
from bridge.cli.output import tell
from bridge.errors import Refused, Transient, UserError

if TYPE_CHECKING:
    from bridge.first_configuration import SourceAnswers, TargetAnswers

T = TypeVar("T")
Given: TypeAlias = Callable[[str], str]
"""Takes an option's value, or empty if that did not work and has to be typed."""

__all__ = ["add_to"]

HELP = """\
Write a first configuration: ask for both systems, try to connect, write config.toml.

The command asks for everything that is not given as an option. Secrets go into separate files in
`secrets/`, which only you can read, together with a new key for the ledger and a new token for
webhooks. Nothing is overwritten.

\b
Examples:
  trakor-bridge init
  trakor-bridge init --queries    only copy the shipped query files
  trakor-bridge init --email me@example.com \\
      --salestrekker-url https://app.salestrekker.com/graphql \\
      --trakor-url https://your-app.example/api/public/v1
"""

PREFIX: Final = "TRAKOR_BRIDGE_"
CHANGE: Final = "edit it, or give another path with --config"

IN_ENVIRONMENT: Final = "Better set in the environment: other users can see a command's options."

SalestrekkerUrl: TypeAlias = Annotated[
    str, typer.Option(metavar="URL", help="The GraphQL address.", show_default=False)
]
ApiKey: TypeAlias = Annotated[
    str,
    typer.Option(envvar=f"{PREFIX}SALESTREKKER__API_KEY", help=IN_ENVIRONMENT, show_default=False),
]
Email: TypeAlias = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Log in with this and a password.", show_default=False)
]
Password: TypeAlias = Annotated[
    str,
    typer.Option(envvar=f"{PREFIX}SALESTREKKER__PASSWORD", help=IN_ENVIRONMENT, show_default=False),
]
Organization: TypeAlias = Annotated[
    str, typer.Option(help="Name or id, if the log-in has several.", show_default=False)
]
TrakorUrl: TypeAlias = Annotated[
    str, typer.Option(metavar="URL", help="The base address, ending in /api/public/v1.", show_default=False)
]
TrakorKey: TypeAlias = Annotated[
    str, typer.Option(envvar=f"{PREFIX}TRAKOR__API_KEY", help=IN_ENVIRONMENT, show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("init", help=HELP, short_help="Write a first configuration.")(_init)


def _init(  # noqa: PLR0913 - one parameter for each option
    *,
    salestrekker_url: SalestrekkerUrl = "",
    api_key: ApiKey = "",
    email: Email = "",
    password: Password = "",
    organization: Organization = "",
    trakor_url: TrakorUrl = "",
    trakor_key: TrakorKey = "",
    allow_insecure: Annotated[
        bool, typer.Option("--allow-insecure", help="Accept http:// addresses of other machines.")
    ] = False,
    untried: Annotated[bool, typer.Option("--untried", help="Don't try to connect.")] = False,
    queries: Annotated[bool, typer.Option("--queries", help="Only copy the query files.")] = False,
    config: ConfigOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge import first_configuration, logs  # noqa: PLC0415 - see the package

    logs.configure(log_level or "warning", log_format or "auto")
    path = (config or Path(os.environ.get(f"{PREFIX}CONFIG") or "config.toml")).absolute()
    if queries:
        _say_copied(*first_configuration.copy_queries(path.parent))
        return
    if path.exists():
        raise UserError(f"{path} already exists: nothing was written", advice=CHANGE)

    def ask_source(url: str, given: Callable[[str], str]) -> SourceAnswers:
        if email:
            words = f"Salestrekker's password of {email}"
            secret = _asked(given(password), "--password", words, secret=True)
            return first_configuration.SourceAnswers(
                url, email=email, password=secret, organization=organization
            )
        secret = _asked(given(api_key), "--api-key", "Salestrekker's API key (Settings > API)", secret=True)
        return first_configuration.SourceAnswers(url, api_key=secret, organization=organization)

    def ask_target(url: str, given: Callable[[str], str]) -> TargetAnswers:
        words = "Trakor's API key (Settings > API Keys)"
        secret = _asked(given(trakor_key), "--trakor-key", words, secret=True)
        return first_configuration.TargetAnswers(url, secret)

    where = partial(_address, allow_insecure=allow_insecure)
    salestrekker = _System(
        "Salestrekker",
        partial(where, salestrekker_url, "--salestrekker-url", "Salestrekker's GraphQL address"),
        ask_source,
        *((None, None) if untried else (first_configuration.reach_source, first_configuration.prove_source)),
    )
    trakor = _System(
        "Trakor",
        partial(where, trakor_url, "--trakor-url", "Trakor's address, ending in /api/public/v1"),
        ask_target,
        *((None, None) if untried else (first_configuration.reach_target, first_configuration.prove_target)),
    )
    source, target = _log_in(salestrekker), _log_in(trakor)
    _write(path, source, target, allow_insecure=allow_insecure)


@dataclass(frozen=True, slots=True)
class _System(Generic[T]):
    """How one system is configured and tried.

    Attributes:
        name: What it is called.
        ask_url: Asks for its address, with the last good one as the default.
        ask: Asks for its credentials.
        reach: Checks whether it answers at an address; None: it is not tried.
        prove: Checks whether it accepts the credentials; None: it is not tried.
    """

    name: str
    ask_url: Callable[[Given, str], str]
    ask: Callable[[str, Given], T]
    reach: Callable[[str], Awaitable[None]] | None
    probe: Callable[[T], Awaitable[None]] | None


def _address(
    option_value: str, option: str, words: str, given: Given, kept: str, *, allow_insecure: bool
) -> str:
    """A system's address; https:// is added if the user leaves it out."""
    from bridge.settings import checked_url, is_plain_and_remote  # noqa: PLC0415 - see the package

    typed = _asked(given(option_value), option, words, default=kept)
    whole = typed if "://" in typed else f"https://{typed}"
    if not whole.startswith(("https://", "http://")):
        raise UserError(f"{whole} is not a web address: it must begin with https://")
    url = checked_url(whole)
    if is_plain_and_remote(url) and not allow_insecure:
        raise UserError(
            f"{url} is not encrypted: others could read keys and data on the way",
            advice="use https://, or allow it with --allow-insecure",
        )
    return url


def _asked(given: str, option: str, words: str, *, secret: bool = False, default: str = "") -> str:
    """The option's value, else what the user types."""
    if given:
        return given.strip()
    if not sys.stdin.isatty():
        raise UserError(f"{option} is missing, and there is no terminal to ask on")
    return str(typer.prompt(words, default=default or None, hide_input=secret, err=True)).strip()


def _log_in(system: _System[T]) -> T:
    """Ask until the system accepts the credentials; without a terminal, once.

    Its address comes first, and is tried before the user types a key for it.
    """
    given: Given = str
    url = ""
    while True:
        url = _reached(system, given, url)
        answer = system.ask(url, given)
        try:
            _try(system.name, system.probe, answer, "access granted")
        except (Refused, Transient) as error:
            _ask_again(error)
            given = _nothing
        else:
            return answer


def _reached(system: _System[T], given: Given, kept: str) -> str:
    """Ask for an address until the system answers there."""
    while True:
        try:
            url = system.ask_url(given, kept)
            _try(f"{system.name}'s address", system.reach, url, "it answers")
        except (Refused, Transient, UserError) as error:
            _ask_again(error)
            given = _nothing
        else:
            return url


def _try(what: str, test: Callable[[T], Awaitable[None]] | None, answer: T, good: str) -> None:
    """Try a system, and print the result."""
    if test is None:
        return
    typer.echo(f"{what}: trying … ", nl=False, err=True)
    try:
        asyncio.run(_run(test, answer))
    except (Refused, Transient):
        typer.secho("no", fg="red", err=True)
        raise
    typer.secho(good, fg="green", err=True)


def _ask_again(error: Refused | Transient | UserError) -> None:
    """Print an error. A typo is simply asked for again; after a refusal, the user may stop.

    Raises:
        BridgeError: The error, if there is no terminal or the user does not want to try again.
    """
    if not sys.stdin.isatty():
        raise error
    tell(str(error), err=True)
    if advice := getattr(error, "advice", ""):
        tell(advice, err=True)
    if not isinstance(error, UserError) and not typer.confirm("Try again?", default=True, err=True):
        raise error


def _nothing(_: str) -> str:
    return ""


async def _run(test: Callable[[T], Awaitable[None]], answer: T) -> None:
    await test(answer)


def _write(path: Path, source: SourceAnswers, target: TargetAnswers, *, allow_insecure: bool) -> None:
    """Write the files, and check that they can be loaded."""
    from bridge.first_configuration import write  # noqa: PLC0415 - see the package
    from bridge.settings import load  # noqa: PLC0415 - see the package

    made = write(path, source, target, allow_insecure=allow_insecure)
    try:
        load(path, {})
    except UserError:
        for file in made:
            file.unlink()
        raise
    for file in made:
        typer.echo(f"wrote {file}", err=True)
    option = "" if path == Path("config.toml").absolute() else f" --config {path}"
    typer.echo(
        f"""\
Next steps:
  trakor-bridge check{option}
      tries every query, and shows what to change if something differs
  trakor-bridge backfill --dry-run{option}
      shows what would be sent, held and skipped; sends and keeps nothing
  trakor-bridge backfill{option}
      sends everything to Trakor, once
  trakor-bridge status{option}
      shows the state of everything, and what needs a decision"""
    )


def _say_copied(copied: list[Path], kept: list[Path]) -> None:
    for file in copied:
        typer.echo(f"copied {file}")
    for file in kept:
        typer.echo(f"kept, because it already exists: {file}", err=True)
