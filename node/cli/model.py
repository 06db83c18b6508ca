"""`lepton model predict | show`: use a shared model anywhere; no daemon, no network."""

import hashlib
import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from node.cli.common import CommandError, Json, console, print_json, print_table
from node.edge.learning.modelfile import open_model

commands = typer.Typer(no_args_is_help=True, help="Use a model that a job made.")

ModelFile = Annotated[Path, typer.Option("--model", help="The safetensors file; it carries its preparation.")]

SHOWN_ROWS = 10


@commands.command()
def predict(
    model: ModelFile,
    data: Annotated[Path, typer.Option(help="Raw rows, CSV or Parquet, with the job's columns.")],
    json: Annotated[Path | None, typer.Option("--json", help="Write the list of probabilities to this file.")] = None,
) -> None:
    """One probability per row, in the rows' order.

    Example: lepton model predict --model model.safetensors --data patients.csv --json out.json
    """
    # The daemon is started by this same program and must never load torch, so only this command does.
    from node.edge.learning.predict import predict as probabilities_of

    found = probabilities_of(_read(model), data, lambda note: typer.echo(f"note: {note}", err=True))
    if json is not None:
        json.write_text(jsonlib.dumps(found) + "\n")
        console.print(f"{len(found)} probabilities written to {json}")
        return
    rows = [(number, f"{value:.4f}") for number, value in enumerate(found[:SHOWN_ROWS], 1)]
    print_table(
        f"{min(SHOWN_ROWS, len(found))} of {len(found)} rows; --json FILE writes all", ["row", "probability"], rows
    )


@commands.command()
def show(model: ModelFile, json: Json = False) -> None:
    """What a model file says of itself: digest, columns, size.

    Example: lepton model show --model model.safetensors
    """
    content = _read(model)
    preparation, parameters = open_model(content)
    described = {
        "digest": hashlib.sha256(content).hexdigest(),
        "parameters": len(parameters) // 4,
        "preparation": jsonlib.loads(preparation),
    }
    if json:
        print_json(described)
        return
    rows = [("digest", described["digest"]), ("parameters", described["parameters"])]
    print_table(str(model), ["", ""], [*rows, ("preparation", jsonlib.dumps(described["preparation"], indent=1))])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read the model {path}: {error.strerror}") from error
