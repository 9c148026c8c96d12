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

from bridge.cli.output import tell
from bridge.cli.session import ConfigOption, LogFormatOption, LogLevelOption  # noqa: TC001 - Typer reads them
from bridge.errors import Refused, Transient, UserError

if TYPE_CHECKING:
    from bridge.first_configuration import SourceAnswers, TargetAnswers

T = TypeVar("T")
Given: TypeAlias = Callable[[str], str]
"""What an option gave, or nothing where that did not work and is to be typed."""

__all__ = ["add_to"]

HELP = """\
Write a first configuration: asks for both systems, tries them, writes config.toml.

What is not given as an option is asked for. Secrets go into files of their own in `secrets/`, readable
by you alone, with a fresh key for the ledger and a fresh token for webhooks. Nothing is overwritten.

\b
Examples:
  trakor-bridge init
  trakor-bridge init --queries    only copy the shipped queries
  trakor-bridge init --email me@example.com \\
      --salestrekker-url https://app.salestrekker.com/graphql \\
      --trakor-url https://your-app.example/api/public/v1
"""

PREFIX: Final = "TRAKOR_BRIDGE_"
CHANGE: Final = "change it by hand, or give another place with --config"

IN_ENVIRONMENT: Final = "Better in the environment: others can see a command's options."

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
    str, typer.Option(help="Name or id, where the log-in has several.", show_default=False)
]
TrakorUrl: TypeAlias = Annotated[
    str, typer.Option(metavar="URL", help="It ends in /api/public/v1.", show_default=False)
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
        bool, typer.Option("--allow-insecure", help="Take http:// addresses of other machines.")
    ] = False,
    untried: Annotated[bool, typer.Option("--untried", help="Ask neither system.")] = False,
    queries: Annotated[bool, typer.Option("--queries", help="Only copy the queries, for changing.")] = False,
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
        raise UserError(f"{path} exists already: nothing was asked or written", advice=CHANGE)

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
        return first_configuration.TargetAnswers(
            url, _asked(given(trakor_key), "--trakor-key", words, secret=True)
        )

    where = partial(_address, allow_insecure=allow_insecure)
    salestrekker = _System(
        "Salestrekker",
        partial(where, salestrekker_url, "--salestrekker-url", "Salestrekker's GraphQL address"),
        ask_source,
        *((None, None) if untried else (first_configuration.reach_source, first_configuration.prove_source)),
    )
    trakor = _System(
        "Trakor",
        partial(where, trakor_url, "--trakor-url", "Trakor's address, it ends in /api/public/v1"),
        ask_target,
        *((None, None) if untried else (first_configuration.reach_target, first_configuration.prove_target)),
    )
    source, target = _let_in(salestrekker), _let_in(trakor)
    _write(path, source, target, allow_insecure=allow_insecure)


@dataclass(frozen=True, slots=True)
class _System(Generic[T]):
    """How one system is asked for, and tried.

    Attributes:
        name: What it is called.
        ask_url: Asks for its address, given how to take an option and the one that was good before.
        ask: Asks for what lets us in there.
        reach: Finds out whether it is at an address; None: it is not asked.
        prove: Finds out whether it lets us in; None likewise.
    """

    name: str
    ask_url: Callable[[Given, str], str]
    ask: Callable[[str, Given], T]
    reach: Callable[[str], Awaitable[None]] | None
    probe: Callable[[T], Awaitable[None]] | None


def _address(
    option_value: str, option: str, words: str, given: Given, kept: str, *, allow_insecure: bool
) -> str:
    """A system's address, as it is meant where somebody leaves out its beginning."""
    from bridge.settings import checked_url, is_plain_and_remote  # noqa: PLC0415 - see the package

    typed = _asked(given(option_value), option, words, default=kept)
    whole = typed if "://" in typed else f"https://{typed}"
    if not whole.startswith(("https://", "http://")):
        raise UserError(f"{whole} is no address of the web: it must begin with https://")
    url = checked_url(whole)
    if is_plain_and_remote(url) and not allow_insecure:
        raise UserError(
            f"{url} is not encrypted: keys and data could be read on their way",
            advice="use https://, or insist with --allow-insecure",
        )
    return url


def _asked(given: str, option: str, words: str, *, secret: bool = False, default: str = "") -> str:
    """What the option gave, else what the user types."""
    if given:
        return given.strip()
    if not sys.stdin.isatty():
        raise UserError(f"{option} is missing, and there is no terminal to ask for it on")
    return str(typer.prompt(words, default=default or None, hide_input=secret, err=True)).strip()


def _let_in(system: _System[T]) -> T:
    """Ask until the system lets us in; without a terminal, once. What did not work is asked for anew.

    Its address comes first, and is tried before anybody types a key for it.
    """
    given: Given = str
    url = ""
    while True:
        url = _reached(system, given, url)
        answer = system.ask(url, given)
        try:
            _try(system.name, system.probe, answer, "it lets us in")
        except (Refused, Transient) as error:
            _ask_again(error)
            given = _nothing
        else:
            return answer


def _reached(system: _System[T], given: Given, kept: str) -> str:
    """Ask for an address until the system is there."""
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
    """Ask a system, and say what came of it."""
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
    """Say what is wrong. A slip is simply asked for again; where a system says no, whoever asks may stop.

    Raises:
        BridgeError: The error, where there is no terminal, or nobody wants to try again.
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
    """Write the files, and see that any command can load them."""
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
What comes next:
  trakor-bridge check{option}
      tries every query, and says what to change where something differs
  trakor-bridge backfill --dry-run{option}
      what would be sent, held and skipped; sends and keeps nothing
  trakor-bridge backfill{option}
      everything into Trakor, once
  trakor-bridge status{option}
      what is where, and what waits for you"""
    )


def _say_copied(copied: list[Path], kept: list[Path]) -> None:
    for file in copied:
        typer.echo(f"copied {file}")
    for file in kept:
        typer.echo(f"left alone, it is there already: {file}", err=True)
