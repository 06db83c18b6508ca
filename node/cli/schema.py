"""`lepton schema`: new, register, list, show."""

from pathlib import Path
from typing import Annotated, Any

import typer

from node.app.schemafile import RARE_ROWS, draft_text, rare_categories, read_schema_file
from node.base.codec import encode
from node.cli.common import CommandError, Json, Yes, ask, consent, console, parse_org, print_json, print_table, submit
from node.cli.table import columns_of, progress, table_errors
from node.ledger.contracts.schemas import SchemaColumn

commands = typer.Typer(
    no_args_is_help=True,
    help="Say on the ledger what the columns of data sets are: types, units, ranges, categories, meaning. A version "
    "never changes; all members see it for ever. Then: lepton data check, lepton data convert.",
)


@commands.command()
def new(
    table: Annotated[Path, typer.Argument(help="A CSV, Parquet or JSON lines file with rows as they should be.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The draft to write.")] = Path("schema.toml"),
    name: Annotated[str | None, typer.Option(help="The schema's name (default: the file's).")] = None,
) -> None:
    """Draft a schema from the rows of a file, for you to edit. Nothing is published.

    Example: lepton schema new rows.csv --out heart.toml --name heart
    """
    from node.edge.tables import draft_columns, file_source, open_rows

    if out.exists():
        raise CommandError(f"{out} exists already and is not overwritten: name another file with --out")
    with table_errors(), progress(table.stat().st_size, "reading", quiet=False) as reached:
        columns = draft_columns(open_rows(file_source(table)), reached)
    out.write_text(draft_text(table.name, columns, name or table.stem.lower()))
    print_table(
        f"{out}, a draft",
        ["column", "type", "missing", "categories", "in a comment"],
        [
            (
                column.name,
                column.type,
                column.missing or "",
                len(column.categories) - len(rare_categories(column)) or "",
                len(rare_categories(column)) or "",
            )
            for column in columns
        ],
    )
    left_out = [column.name for column in columns if rare_categories(column)]
    if left_out:
        console.print(
            f"Left out, for they may tell of single persons: the categories in fewer than {RARE_ROWS} rows of "
            f"{', '.join(left_out)}. They stand as a comment in {out}: add those that are no secret. A column "
            "that names categories takes no other, so the rows that hold one left out would not fit.",
            markup=False,
            soft_wrap=True,
        )
    console.print(f"Edit {out}: units, meanings, ranges. Then: lepton schema register {out}", soft_wrap=True)


@commands.command()
def register(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The schema file (TOML).")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put a schema on the ledger; a name of yours again makes its next version. All members see all of it for ever.

    Example: lepton --dir cleveland schema register heart.toml
    """
    schema = read_schema_file(file)
    if not yes and not json:
        _show_columns(schema.columns)
    consent([("schema", schema.name), ("about", schema.about), ("columns", len(schema.columns))], yes=yes, json=json)
    submit(context.obj, "schemas", "register", encode(schema), as_json=json)


@commands.command(name="list")
def list_schemas(
    context: typer.Context,
    owner: Annotated[str | None, typer.Option(help="Only this organisation's.")] = None,
    json: Json = False,
) -> None:
    """All schemas of the network, every version.

    Example: lepton --dir cleveland schema list
    """
    of = None if owner is None else parse_org(owner)
    found = ask(context.obj, lambda client: client.read("schemas", owner=of))
    if json:
        print_json(found)
        return
    print_table(
        "schemas",
        ["schema", "columns", "about"],
        [(schema["schema"], schema["columns"], schema["about"]) for schema in found],
    )


@commands.command()
def show(
    context: typer.Context,
    schema: Annotated[str, typer.Argument(help="owner/name for the newest version, or owner/name/number.")],
    json: Json = False,
) -> None:
    """One schema with its columns.

    Example: lepton --dir cleveland schema show cleveland/heart
    """
    found = ask(context.obj, lambda client: client.read("schema", schema=schema))
    if json:
        print_json(found)
        return
    print_table(
        found["schema"], ["", ""], [("about", found["about"]), ("registered by", found["schema"].split("/")[0])]
    )
    _show_columns(columns_of(found))


def _show_columns(columns: tuple[SchemaColumn, ...]) -> None:
    print_table(
        "columns", ["name", "type", "unit", "allowed", "must be", "meaning"], [_column(column) for column in columns]
    )


def _column(column: SchemaColumn) -> tuple[Any, ...]:
    from node.edge.tables import range_words

    allowed = [words for words in (range_words(column), ", ".join(column.categories)) if words]
    must = ("there" if column.required else "") + ("" if column.nullable else ", never missing")
    return (column.name, column.type, column.unit, "; ".join(allowed), must.removeprefix(", "), column.meaning)
