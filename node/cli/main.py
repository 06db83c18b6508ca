"""Assembles the command line; turns every known error into one sentence and exit code 1."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import node
from node.api import OperatorError
from node.app.contracts.errors import RulesFileError
from node.app.jobfile import JobFileError
from node.app.prooffile import ProofFileError
from node.app.schemafile import SchemaFileError
from node.app.settings import SettingsError
from node.base.ports import LearnerError
from node.cli import (
    access,
    agreement,
    audit,
    care,
    chain,
    contract,
    data,
    job,
    keys,
    member,
    model,
    network,
    proof,
    schema,
    table,
    transfer,
)
from node.cli.common import CommandError, Member
from node.edge.storage import FileError
from node.ledger.errors import LedgerError

lepton = typer.Typer(
    name="lepton",
    no_args_is_help=True,
    rich_markup_mode="markdown",
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


member.add_to(lepton)
care.add_to(lepton)
lepton.add_typer(network.commands, name="network")
lepton.add_typer(keys.commands, name="keys")
lepton.add_typer(chain.commands, name="chain")
proof.add_to(lepton)
audit.add_to(lepton)
lepton.add_typer(job.commands, name="job")
table.add_to(data.commands)
access.add_to(data.commands)
transfer.add_to(data.commands)
lepton.add_typer(data.commands, name="data")
lepton.add_typer(agreement.commands, name="agreement")
lepton.add_typer(schema.commands, name="schema")
lepton.add_typer(contract.commands, name="contract")
lepton.add_typer(model.commands, name="model")

KNOWN_ERRORS = (
    CommandError,
    FileError,
    JobFileError,
    LearnerError,
    LedgerError,
    OperatorError,
    RulesFileError,
    SchemaFileError,
    SettingsError,
    ProofFileError,
    OSError,
)


def main() -> None:
    """Run the command line; exit code 0 only on success."""
    try:
        lepton()
    except KNOWN_ERRORS as error:
        print(f"lepton: {error}", file=sys.stderr)
        sys.exit(1)
