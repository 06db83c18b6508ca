"""`lepton agreement draft | sign | show | withdraw | list`: what organisations sign about each other's data."""

from pathlib import Path
from typing import Annotated, Any

import typer

from node.app.moments import iso
from node.app.settings import read_settings
from node.base.codec import encode
from node.base.types import Digest
from node.cli.common import (
    CommandError,
    Json,
    Yes,
    ask,
    consent,
    console,
    find_digest,
    full_name,
    parse_digest,
    parse_moment,
    parse_org,
    print_json,
    print_table,
    submit,
)
from node.ledger.contracts.agreements import CONDITIONS_CHARACTERS_MAX, Operation, Sign, Terms, Withdraw

commands = typer.Typer(
    no_args_is_help=True,
    help="Agree with other organisations on data: who, which data sets, for what, how, until when. All members see "
    "agreements for ever. One is in force when all its parties have signed.",
)

AgreementId = Annotated[str, typer.Argument(help="The agreement's id: all its 64 hexadecimal digits, or the first.")]


@commands.command()
def draft(
    context: typer.Context,
    title: Annotated[str, typer.Option(help="A few words for people.")],
    party: Annotated[list[str], typer.Option(help="Another organisation; may be repeated. You are a party anyway.")],
    data: Annotated[list[str], typer.Option(help="A data set, owner/name or a name of yours; may be repeated.")],
    purpose: Annotated[list[str], typer.Option(help="What the data may be used for; may be repeated.")],
    operation: Annotated[
        list[str], typer.Option(help="train, evaluate, statistics, download or compute; may be repeated.")
    ],
    until: Annotated[str, typer.Option(help="When it expires: 2027-01-31, or 2027-01-31T12:00:00 (UTC).")],
    conditions: Annotated[str, typer.Option(help="Further conditions, in words; no machine reads them.")] = "",
    conditions_file: Annotated[Path | None, typer.Option(help="The same, from a text file.")] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Draft an agreement and sign it. It is in force when every other party has signed too.

    Example: lepton --dir cleveland agreement draft --title "Heart study" --party budapest --data patients
    --purpose "heart research" --operation train --until 2027-01-31
    """
    org = read_settings(context.obj.dir).org_id
    terms = Terms(
        title=title,
        parties=tuple(sorted({org, *map(parse_org, party)})),
        data=tuple(sorted({full_name(context.obj, name) for name in data})),
        purposes=tuple(sorted(set(purpose))),
        operations=tuple(sorted({parse_operation(name) for name in operation})),
        expires_ms=parse_moment(until),
        conditions=conditions if conditions_file is None else _text(conditions_file),
    )
    consent(_terms_rows(terms), yes=yes, json=json)
    outcome = submit(context.obj, "agreements", "draft", encode(terms), as_json=json)
    if not json:
        others = ", ".join(party for party in terms.parties if party != org)
        console.print(f"{others} signs: lepton agreement sign {outcome.transaction.hex()[:16]}")


@commands.command()
def sign(context: typer.Context, agreement: AgreementId, yes: Yes = False, json: Json = False) -> None:
    """Sign an agreement that names you as a party. Its terms are shown first.

    Example: lepton --dir budapest agreement sign 3f9a
    """
    found = _one(context, agreement)
    consent([*_shown_rows(found), ("you", "sign this agreement")], yes=yes, json=json)
    payload = encode(Sign(parse_digest(found["id"], "agreement")))
    submit(context.obj, "agreements", "sign", payload, as_json=json)
    if not json:
        console.print(f"the agreement is {_one(context, found['id'])['state']}")


@commands.command()
def withdraw(
    context: typer.Context,
    agreement: AgreementId,
    why: Annotated[str, typer.Option(help="For all members to read, for ever.")] = "",
    json: Json = False,
) -> None:
    """End an agreement at once, for all its parties; also one that you have not signed.

    Nothing is served or trained on under it any more. It is no recall: what somebody received before, it has.

    Example: lepton --dir budapest agreement withdraw 3f9a --why "the study is over"
    """
    payload = encode(Withdraw(find_agreement(context, agreement), why))
    submit(context.obj, "agreements", "withdraw", payload, as_json=json)
    if not json:
        console.print("Nothing is served under it from now on. What somebody received before, it has.")


@commands.command()
def show(context: typer.Context, agreement: AgreementId, json: Json = False) -> None:
    """One agreement: its terms, who signed, whether it is in force.

    Example: lepton --dir cleveland agreement show 3f9a
    """
    found = _one(context, agreement)
    if json:
        print_json(found)
    else:
        print_table(f"agreement {found['id']}", ["", ""], _shown_rows(found))


@commands.command(name="list")
def list_agreements(context: typer.Context, json: Json = False) -> None:
    """All agreements of the network.

    Example: lepton --dir cleveland agreement list
    """
    found = ask(context.obj, lambda client: client.read("agreements"))
    if json:
        print_json(found)
        return
    rows = [
        (one["id"][:16], one["title"], one["state"], " ".join(one["parties"]), " ".join(one["data"]), one["expires"])
        for one in found
    ]
    print_table("agreements", ["id", "title", "state", "parties", "data", "until"], rows)


def find_agreement(context: typer.Context, text: str) -> Digest:
    """The id of the agreement that `text` begins. Raises `CommandError` unless there is exactly one."""
    found = [] if len(text) == 64 else ask(context.obj, lambda client: client.read("agreements"))
    return find_digest(text, [one["id"] for one in found], "agreement", "lepton agreement list")


def parse_operation(text: str) -> Operation:
    """An operation by its name. Raises `CommandError`."""
    try:
        return Operation[text.upper()]
    except KeyError as error:
        known = ", ".join(operation.name.lower() for operation in Operation)
        raise CommandError(f"{text!r} is no operation; there are: {known}") from error


def _one(context: typer.Context, text: str) -> dict[str, Any]:
    (found,) = ask(context.obj, lambda client: client.read("agreements", agreement=text))
    return dict(found)


def _terms_rows(terms: Terms) -> list[tuple[str, object]]:
    return [
        ("title", terms.title),
        ("parties", " ".join(terms.parties)),
        ("data", " ".join(terms.data)),
        ("purposes", "; ".join(terms.purposes)),
        ("operations", " ".join(operation.name.lower() for operation in terms.operations)),
        ("until", iso(terms.expires_ms)),
        ("conditions", terms.conditions),
    ]


def _shown_rows(found: dict[str, Any]) -> list[tuple[str, object]]:
    ended = found["withdrawn"]
    rows: list[tuple[str, object]] = [
        ("title", found["title"]),
        ("state", found["state"]),
        ("parties", " ".join(found["parties"])),
        ("signed", ", ".join(f"{one['org']} ({one['at']})" for one in found["signed"])),
        ("missing", " ".join(found["missing"])),
        ("data", " ".join(found["data"])),
        ("purposes", "; ".join(found["purposes"])),
        ("operations", " ".join(found["operations"])),
        ("until", found["expires"]),
        ("conditions", found["conditions"]),
    ]
    if ended is not None:
        rows.append(("withdrawn", f"by {ended['org']} ({ended['at']}): {ended['why']}"))
    return rows


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{file} is no text of at most {CONDITIONS_CHARACTERS_MAX} characters in UTF-8: write the conditions so"
        ) from error
