"""`trakor-bridge init`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, TypeVar

import typer

from bridge.cli.session import ConfigOption, LogFormatOption, LogLevelOption  # noqa: TC001 - Typer reads them
from bridge.errors import Refused, Transient, UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.setup import Source, Target

    T = TypeVar("T")

__all__ = ["add_to"]

HELP = """\
Write a first configuration: asks for both systems, tries them, writes config.toml.

What is not given as an option is asked for. Secrets go into files of their own in `secrets/`, readable
by you alone, with a fresh key for the ledger and a fresh token for webhooks. Nothing is overwritten.

\b
Examples:
  trakor-bridge init
  trakor-bridge init --queries      only copy the shipped queries, for changing
  trakor-bridge init --salestrekker-url https://app.salestrekker.com/graphql --email me@example.com \\
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
    from bridge import logs  # noqa: PLC0415 - see the package
    from bridge.setup import Source, Target, copy_queries, prove_source, prove_target  # noqa: PLC0415

    logs.configure(log_level or "warning", log_format or "auto")
    path = (config or Path(os.environ.get(f"{PREFIX}CONFIG") or "config.toml")).absolute()
    if queries:
        _say_copied(*copy_queries(path.parent))
        return
    if path.exists():
        raise UserError(f"{path} exists already: nothing was asked or written", advice=CHANGE)

    def ask_source(given: Callable[[str], str]) -> Source:
        url = _whole(_asked(given(salestrekker_url), "--salestrekker-url", "Salestrekker's GraphQL address"))
        _refuse_plain(url, allowed=allow_insecure)
        if email:
            words = f"Salestrekker's password of {email}"
            secret = _asked(given(password), "--password", words, secret=True)
            return Source(url, email=email, password=secret, organization=organization)
        secret = _asked(given(api_key), "--api-key", "Salestrekker's API key (Settings > API)", secret=True)
        return Source(url, api_key=secret, organization=organization)

    def ask_target(given: Callable[[str], str]) -> Target:
        asked = _asked(given(trakor_url), "--trakor-url", "Trakor's address, it ends in /api/public/v1")
        url = _whole(asked).rstrip("/")
        _refuse_plain(url, allowed=allow_insecure)
        secret = _asked(
            given(trakor_key), "--trakor-key", "Trakor's API key (Settings > API Keys)", secret=True
        )
        return Target(url, secret)

    source = _let_in("Salestrekker", ask_source, None if untried else prove_source)
    target = _let_in("Trakor", ask_target, None if untried else prove_target)
    _write(path, source, target, allow_insecure=allow_insecure)


def _asked(given: str, option: str, words: str, *, secret: bool = False) -> str:
    """What the option gave, else what the user types."""
    if given:
        return given.strip()
    if not sys.stdin.isatty():
        raise UserError(f"{option} is missing, and there is no terminal to ask for it on")
    return str(typer.prompt(words, hide_input=secret, err=True)).strip()


def _whole(url: str) -> str:
    """An address as it is meant where somebody leaves out its beginning."""
    if url.startswith(("https://", "http://")):
        return url
    if "://" in url:
        raise UserError(f"{url} is no address of the web: it must begin with https://")
    return f"https://{url}"


def _refuse_plain(url: str, *, allowed: bool) -> None:
    """Hand no key to another machine over plain http."""
    from bridge.settings import is_plain_and_remote  # noqa: PLC0415 - see the package

    if is_plain_and_remote(url) and not allowed:
        raise UserError(
            f"{url} is not encrypted: keys and data could be read on their way",
            advice="use https://, or insist with --allow-insecure",
        )


def _let_in(
    name: str, ask: Callable[[Callable[[str], str]], T], prove: Callable[[T], Awaitable[None]] | None
) -> T:
    """Ask until the system lets us in; without a terminal, once. What did not work is asked for anew."""
    given: Callable[[str], str] = str
    while True:
        answer = ask(given)
        if prove is None:
            return answer
        typer.echo(f"{name}: trying … ", nl=False, err=True)
        try:
            asyncio.run(_run(prove, answer))
        except (Refused, Transient) as error:
            typer.secho("no", fg="red", err=True)
            if not sys.stdin.isatty():
                raise
            typer.echo(f"{error}\n{getattr(error, 'advice', '')}", err=True)
            if not typer.confirm("Try again?", default=True, err=True):
                raise
            given = _nothing
        else:
            typer.secho("it lets us in", fg="green", err=True)
            return answer


def _nothing(_: str) -> str:
    return ""


async def _run(prove: Callable[[T], Awaitable[None]], answer: T) -> None:
    await prove(answer)


def _write(path: Path, source: Source, target: Target, *, allow_insecure: bool) -> None:
    """Write the files, and see that any command can load them."""
    from bridge.settings import load  # noqa: PLC0415 - see the package
    from bridge.setup import write  # noqa: PLC0415 - see the package

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
