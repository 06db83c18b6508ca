"""What the commands share: the member's folder, output for people or programs, calls to the daemon."""

import asyncio
import datetime
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from node.api import OperatorClient, Outcome
from node.app.settings import read_settings
from node.base.errors import ExplainedError
from node.base.types import Digest, OrgId, is_org_id
from node.ledger.contracts.contract import is_text

T = TypeVar("T")

console = Console()
if not console.is_terminal:
    # A pipe has no width; at the usual 80 a digest would be cut in two.
    console = Console(width=120)

WHOLE_CHARACTERS_MAX = 48
"""A table's first column is at most so wide; a longer name leaves no room for what is said of it."""

Yes = Annotated[bool, typer.Option("--yes", help="Publish without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class CommandError(ExplainedError):
    """A command was given something that it cannot use; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Member:
    """Which member the commands speak of."""

    dir: Path


def prompt_passphrase() -> str:
    """Ask at the terminal, without echo."""
    answer: str = typer.prompt("Passphrase of this member's keys", hide_input=True)
    return answer


def prompt_new_passphrase() -> str:
    """Ask twice at the terminal."""
    answer: str = typer.prompt("New passphrase for this member's keys", hide_input=True, confirmation_prompt=True)
    return answer


def ask(member: Member, question: Callable[[OperatorClient], Awaitable[T]]) -> T:
    """Ask the member's daemon. Raises `OperatorError`, and `SettingsError` for a folder that is no member's."""
    read_settings(member.dir)

    async def connected() -> T:
        async with OperatorClient(member.dir) as client:
            return await question(client)

    return asyncio.run(connected())


def submit(member: Member, contract: str, method: str, payload: bytes, *, as_json: bool) -> Outcome:
    """Submit a transaction, wait for its block, tell the outcome; exits with 1 when it was refused."""
    outcome = ask(member, lambda client: client.submit(contract, method, payload))
    report(outcome, as_json=as_json)
    return outcome


def report(outcome: Outcome, *, as_json: bool) -> None:
    """Print what became of a transaction. Raises `CommandError` unless it was accepted."""
    if as_json:
        print_json(
            {
                "transaction": outcome.transaction.hex(),
                "final": outcome.final,
                "height": outcome.height,
                "accepted": outcome.accepted,
                "code": outcome.code,
                "reason": outcome.reason,
                "notes": list(outcome.notes),
            }
        )
    for note in outcome.notes:
        typer.echo(f"note: {note}", err=True)
    if not outcome.final:
        raise CommandError(
            f"transaction {outcome.transaction.hex()} is not in a block yet; "
            "it may still be included: look with `lepton chain tx`"
        )
    if not outcome.accepted:
        raise CommandError(f"refused at height {outcome.height}: {outcome.reason} ({outcome.code})")
    if not as_json:
        console.print(f"accepted at height {outcome.height}: transaction {outcome.transaction.hex()}")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for a person."""
    # Names and values are others' words: nothing in them is markup, or steers the terminal.
    table = Table(title=escape(legible(title)), title_justify="left", show_header=any(columns))
    texts = [["" if cell is None else legible(str(cell)) for cell in row] for row in rows]
    for at, column in enumerate(columns):
        # What a row is about is copied into the next command: it stays on one line, and what is said of it folds.
        is_whole = at == 0 and max((len(row[0]) for row in texts), default=0) <= WHOLE_CHARACTERS_MAX
        table.add_column(escape(column), overflow="fold", no_wrap=is_whole)
    for row in texts:
        table.add_row(*(escape(text) for text in row))
    console.print(table)


def legible(text: str) -> str:
    """The text with a mark for each character that the ledger takes for unsafe: refused calls are shown too."""
    return "".join(one if is_text(one, 1, lines=True) else "\N{REPLACEMENT CHARACTER}" for one in text)


def consent(
    rows: Sequence[Sequence[object]], *, yes: bool, json: bool, what: str = "", columns: Sequence[str] = ("", "")
) -> None:
    """Show what all members will see for ever, and ask. Raises `CommandError` where nobody agrees, or can."""
    if yes:
        return
    if not json:
        print_table("what every member will see, for ever" + (what and f": {what}"), columns, rows)
    if not console.is_terminal:
        raise CommandError("nothing was published: say --yes where nobody can be asked")
    if not typer.confirm("Publish this for all members, for ever?"):
        raise CommandError("nothing was published")


def find_digest(text: str, found: Sequence[str], what: str, look: str) -> Digest:
    """The one id of `found` that `text` begins; all its 64 digits need no list. Raises `CommandError`."""
    if len(text) == 64:
        return parse_digest(text, what)
    fitting = [id_ for id_ in found if id_.startswith(text.lower())]
    if len(fitting) != 1:
        which = f"no {what} begins" if not fitting else f"{len(fitting)} {what}s begin"
        raise CommandError(f"{which} with {text!r}; look with: {look}")
    return parse_digest(fitting[0], what)


def parse_org(text: str) -> OrgId:
    """An organisation's name. Raises `CommandError`."""
    if not is_org_id(text):
        raise CommandError(f"{text!r} is no organisation's name: use 1 to 63 of a-z, 0-9, '-' and '_'")
    return OrgId(text)


def full_name(member: Member, name: str) -> str:
    """`owner/name` of what may be called by its name alone where it is the member's own. Raises `SettingsError`."""
    return name if "/" in name else f"{read_settings(member.dir).org}/{name}"


def parse_moment(text: str) -> int:
    """Milliseconds since 1970 of a day or a moment, UTC unless it says otherwise. Raises `CommandError`."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no moment: write 2027-01-31 or 2027-01-31T12:00:00") from error
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    return (aware - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(milliseconds=1)


def parse_digest(text: str, what: str) -> Digest:
    """32 bytes from 64 hexadecimal digits. Raises `CommandError`."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise CommandError(f"{text!r} is no {what}: give its 64 hexadecimal digits")
    return Digest(found)
