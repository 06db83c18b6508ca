"""`lepton job propose | approve | refuse | withdraw | list | show | watch`: training together."""

import asyncio
import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from node.api import OperatorClient
from node.app.jobfile import terms_from_file
from node.base.codec import encode
from node.base.types import Digest
from node.cli.common import (
    CommandError,
    Json,
    ask,
    console,
    find_digest,
    full_name,
    parse_digest,
    print_json,
    print_table,
    report,
    submit,
)
from node.ledger.contracts.training import Refuse, Withdraw

commands = typer.Typer(no_args_is_help=True, help="Train a model together, each on its own rows.")

JobId = Annotated[str, typer.Argument(help="The job's id: all its 64 hexadecimal digits, or the first few.")]

WATCH_INTERVAL_S = 0.5


@commands.command()
def propose(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The job: JSON with `name`, `rounds` and `recipe`.")],
    rounds: Annotated[int | None, typer.Option(min=1, help="Training rounds, instead of the file's.")] = None,
    participant: Annotated[
        list[str] | None, typer.Option(help="Who trains; may be repeated. Default: all members.")
    ] = None,
    minimum: Annotated[int | None, typer.Option(min=1, help="Fewest contributors of a training round.")] = None,
    deadline_ms: Annotated[
        int, typer.Option(help="A member without any sign of progress for this long may be called late.")
    ] = 5_000,
    json: Json = False,
) -> None:
    """Propose a training job to the network.

    Example: lepton --dir cleveland job propose scripts/scenarios/heart/job.json --rounds 10
    """
    count = len(participant) if participant else len(ask(context.obj, lambda client: client.status())["peers"]) + 1
    terms = terms_from_file(
        file, rounds=rounds, participants=participant or [], minimum=minimum, count=count, deadline_ms=deadline_ms
    )
    outcome = submit(context.obj, "training", "propose", encode(terms), as_json=json)
    if not json:
        job = outcome.transaction.hex()
        console.print(
            f"job {job}\nEach participant looks at it and approves: lepton job approve {job[:16]} --data FILE"
        )


@commands.command()
def approve(
    context: typer.Context,
    job: JobId,
    data: Annotated[str, typer.Option(help="The data file to train on, inside the member's folder.")] = "",
    dataset: Annotated[
        str, typer.Option(help="Or a data set of the vault: a name of yours, or owner/name that was fetched.")
    ] = "",
    basis: Annotated[
        str | None, typer.Option(help="The granted request that lets you use it. Default: one that stands.")
    ] = None,
    json: Json = False,
) -> None:
    """Take part in a job with a data file of this member's folder, or a data set of its vault. The rows stay there.

    All members will see that you take part and your count of training rows, for ever; of a file a salted fingerprint,
    of a data set its name and version, and the grant that you use it on. When that ends, you are left out.

    Example: lepton --dir cleveland job approve 3f9a --data data/train.csv

    Example: lepton --dir budapest job approve 3f9a --dataset cleveland/patients
    """
    if bool(data) == bool(dataset):
        raise CommandError("say what to train on: --data FILE, or --dataset NAME")
    if basis is not None and not dataset:
        raise CommandError("--basis belongs to --dataset: a file needs none")
    id_ = find_job(context, job)
    named = dataset and full_name(context.obj, dataset)
    using = b"" if basis is None else parse_digest(basis, "request")
    outcome = ask(context.obj, lambda client: client.approve(id_, data, data_set=named, basis=using))
    report(outcome, as_json=json)


@commands.command()
def refuse(
    context: typer.Context,
    job: JobId,
    why: Annotated[str, typer.Option(help="For the others to read.")],
    json: Json = False,
) -> None:
    """Refuse a job; it ends.

    Example: lepton --dir cleveland job refuse 3f9a --why "the label is not defined for our patients"
    """
    submit(context.obj, "training", "refuse", encode(Refuse(find_job(context, job), why)), as_json=json)


@commands.command()
def withdraw(context: typer.Context, job: JobId, json: Json = False) -> None:
    """Take back a job that you proposed and that not all have approved.

    Example: lepton --dir cleveland job withdraw 3f9a
    """
    submit(context.obj, "training", "withdraw", encode(Withdraw(find_job(context, job))), as_json=json)


@commands.command(name="list")
def list_jobs(context: typer.Context, json: Json = False) -> None:
    """All jobs of the network.

    Example: lepton --dir cleveland job list
    """
    found = ask(context.obj, lambda client: client.jobs())
    if json:
        print_json(found)
        return
    rows = [(j["id"][:16], j["name"], j["state"], f"{j['training_round']}/{j['rounds']}", j["reason"]) for j in found]
    print_table("jobs", ["id", "name", "state", "training round", "reason"], rows)


@commands.command()
def show(context: typer.Context, job: JobId, json: Json = False) -> None:
    """One job: terms, approvals, weights, training round, model.

    Example: lepton --dir cleveland job show 3f9a --json
    """
    id_ = find_job(context, job)
    (found,) = ask(context.obj, lambda client: client.jobs(id_))
    if json:
        print_json(found)
        return
    shown = {name: value for name, value in found.items() if name != "recipe"}
    print_table(
        found["name"], ["", ""], [(n, jsonlib.dumps(v) if isinstance(v, list | dict) else v) for n, v in shown.items()]
    )


@commands.command()
def watch(context: typer.Context, job: JobId) -> None:
    """Watch a job until it ends; exit code 0 only if it is done.

    Example: lepton --dir cleveland job watch 3f9a
    """
    id_ = find_job(context, job)

    async def until_ended() -> dict[str, Any]:
        async with OperatorClient(context.obj.dir) as client:
            with Live(console=console, refresh_per_second=4) as live:
                while True:
                    (found,) = await client.jobs(id_)
                    live.update(_progress(found, await client.status()))
                    if found["state"] not in ("proposed", "preparing", "training"):
                        return found
                    await asyncio.sleep(WATCH_INTERVAL_S)

    ended = asyncio.run(until_ended())
    if ended["state"] != "done":
        raise CommandError(f"the job ended as {ended['state']}: {ended['reason']}")
    console.print(f"done: model {ended['model']}")


def _progress(job: dict[str, Any], status: dict[str, Any]) -> Table:
    table = Table(title=f"{job['name']}: {job['state']}")
    for column in ("height", "training round", "phase", "loss", "cohort"):
        table.add_column(column)
    loss = status.get("loss")
    table.add_row(
        str(status["height"]),
        f"{job['training_round']} of {job['rounds']}",
        job["phase"] or "",
        "" if loss is None else f"{loss:.4f}",
        " ".join(job["cohort"]),
    )
    return table


def find_job(context: typer.Context, text: str) -> Digest:
    """The id of the job that `text` begins. Raises `CommandError` unless there is exactly one."""
    ids = [] if len(text) == 64 else [job["id"] for job in ask(context.obj, lambda client: client.jobs())]
    return find_digest(text, ids, "job", "lepton job list")
