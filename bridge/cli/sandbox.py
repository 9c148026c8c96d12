"""`trakor-bridge sandbox`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bridge.cli.command_setup import collect_seldom
from bridge.errors import UserError

__all__ = ["add_to"]

FORTNIGHT = "14d"
HELP = """\
Run simulations of both systems on this machine, until Ctrl-C.

Prints the configuration to use. The data is made up, but has the problems of real data: equal names,
names that differ in case or spacing, missing and over-long names, companies, duplicate people. Nothing
is kept. The next sandbox is another Trakor, and needs a folder without a ledger.

\b
Examples:
  trakor-bridge sandbox > config.toml &
  until [ -s config.toml ]; do sleep 1; done
  trakor-bridge backfill
  trakor-bridge sandbox --contacts 100000 --latency 50ms
"""


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("sandbox", help=HELP, short_help="Run simulations of both systems.")(_sandbox)


def _sandbox(  # noqa: PLR0913, PLR0917 - one for each option of the command
    contacts: Annotated[int, typer.Option(metavar="N", min=0, help="How many made-up contacts.")] = 1000,
    products: Annotated[int, typer.Option(metavar="N", min=0, help="How many made-up products.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 1,
    salestrekker_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="0: any free one.")
    ] = 0,
    trakor_port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0: any free one.")] = 0,
    control_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="For changing the data while it runs.")
    ] = 0,
    latency: Annotated[str, typer.Option(help="The shortest time that each answer takes.")] = "0ms",
    shape: Annotated[
        str, typer.Option(help="The schema: offset, page, relay, plain or renamed (docs/sandbox.md).")
    ] = "offset",
    first_page: Annotated[
        int, typer.Option(metavar="N", min=0, max=1, help="With --shape page: its first number.")
    ] = 1,
    token_life: Annotated[str, typer.Option(help="How long a Salestrekker token is valid.")] = FORTNIGHT,
) -> None:
    from bridge.sandbox import Options, ShapeKind, serve  # noqa: PLC0415 - see the package

    if shape not in list(ShapeKind):
        raise UserError(
            f"--shape {shape}: there is no such schema", advice=f"take one of {', '.join(ShapeKind)}"
        )

    options = Options(
        contacts=contacts,
        products=products,
        seed=seed,
        salestrekker_port=salestrekker_port,
        trakor_port=trakor_port,
        control_port=control_port,
        latency=_seconds("--latency", latency),
        shape=ShapeKind(shape),
        first_page=first_page,
        token_life=round(_seconds("--token-life", token_life)),
    )

    def announce(text: str) -> None:
        collect_seldom()  # now that the data is made
        typer.echo(text, nl=False)

    asyncio.run(serve(options, announce))


def _seconds(option: str, text: str) -> float:
    from bridge.settings import parse_duration  # noqa: PLC0415 - see the package

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UserError(f"{option} {text}: {error}") from None
