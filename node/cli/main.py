"""Assembles the command line; turns every known error into one sentence and exit code 1."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import node
from node.base.errors import EXPLAINED
from node.cli.common import Member
from node.cli.lazily import MARKUP, LazyGroup

lepton = typer.Typer(
    name="lepton",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Build AI with other organisations: one daemon per organisation, no central server.

    A first network, with two other founders:

        lepton --dir north init --org north --listen 0.0.0.0:7400 --address north.example:7400

        lepton --dir north network found --name trio north/card.json east.json west.json --out trio.json

        lepton --dir north network sign trio.json      (each founder, then pass the file on)

        lepton --dir north network install trio.json   (each founder)

        lepton --dir north run
    """,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lepton {node.__version__}")
        raise typer.Exit


@lepton.callback()
def options(
    context: typer.Context,
    dir: Annotated[
        Path, typer.Option("--dir", "-d", envvar="LEPTON_DIR", help="The member's folder.", show_default=True)
    ] = Path("lepton"),
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Common options."""
    context.obj = Member(dir)


def main() -> None:
    """Run the command line; exit code 0 only on success."""
    try:
        lepton()
    except EXPLAINED as error:
        print(f"lepton: {error}", file=sys.stderr)
        sys.exit(1)
