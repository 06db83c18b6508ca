"""`lepton data check` and `lepton data convert`: rows held against a schema, and brought into its form, at home."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from node.app.schemafile import read_schema_file
from node.app.vaults import open_vault
from node.cli.common import CommandError, Json, ask, console, print_json, print_table, prompt_passphrase
from node.edge.vault import NotKept, VaultError
from node.ledger.contracts.schemas import SchemaColumn

if TYPE_CHECKING:
    # Imported where it is used: it loads pyarrow, for which neither the daemon, started by this same program, nor most
    # commands have a use.
    from node.edge.tables import Converter, Fit, Misfit, TableSource

PREVIEW_ROWS = 5
REFUSED_KEPT = 20
"""Refused values that are shown; all are counted."""

Schema = Annotated[
    str, typer.Option(help="owner/name (the newest version), owner/name/number, or a schema file of yours.")
]


def add_to(data: typer.Typer) -> None:
    """Add `check` and `convert` to `lepton data`."""
    data.command()(check)
    data.command()(convert)


def check(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="A CSV, Parquet or JSON lines file, or a data set of your vault.")],
    schema: Schema,
    version: Annotated[int | None, typer.Option(min=1, help="Of the data set (default: the newest).")] = None,
    examples: Annotated[int, typer.Option(min=0, max=1_000, help="Rows shown of each column and rule.")] = 3,
    json: Json = False,
) -> None:
    """Hold rows against a schema and print what does not fit, by row and column. Exit code 1 when anything does not.

    Nothing leaves this machine. A data set of the vault is read chunk by chunk; nothing is written in the clear.

    Example: lepton --dir cleveland data check rows.csv --schema cleveland/heart
    """
    name, columns = find_schema(context, schema)
    with opened_source(context, table, version) as source:
        fit = held_against(source, columns, examples=examples, quiet=json)
    if json:
        print_json({"table": source.name, "schema": name, **_fit_json(fit)})
    else:
        print_fit(source.name, name, columns, fit)
    if fit.misfits:
        raise CommandError(
            f"{source.name} does not fit {name}: {fit.misfits:,} misfits in {fit.rows:,} rows; "
            "mend them with: lepton data convert"
        )


def convert(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="A CSV, Parquet or JSON lines file, or a data set of your vault.")],
    conversions: Annotated[Path, typer.Option("--with", help="The conversions (TOML).")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The new CSV, Parquet or JSON lines file (default: preview only)."),
    ] = None,
    schema: Annotated[
        str | None, typer.Option(help="Give the columns this schema's types, and hold the new rows against it.")
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Of the data set (default: the newest).")] = None,
) -> None:
    """Apply declared conversions: drop, rename, missing values, category maps, units, types, constants.

    Shows the first rows before and after. The file is written whole or not at all: a value that cannot be converted
    is named, and then there is no file.

    A conversions file: [column.chol] / rename = "cholesterol_mg_dl" / unit = { factor = 38.67 } / missing = [0]

    Example: lepton --dir budapest data convert rows.csv --with conversions.toml --out heart.csv
    """
    from node.edge.tables import Converter, open_rows, open_writer, read_conversions

    name, columns = ("", ()) if schema is None else find_schema(context, schema)
    with opened_source(context, table, version) as source:
        declared = read_conversions(_text(conversions))
        rows = open_rows(source)
        converter = Converter(declared, rows.names, {column.name: column.type for column in columns})
        _preview(source, converter)
        if out is None:
            console.print("nothing was written: name a file with --out")
            return
        with progress(source.size_bytes, "converting", quiet=False) as reached, open_writer(out) as writer:
            run = _Run(converter, columns, reached)
            for batch in rows.batches:
                writer.write(run.take(batch))
            if run.refused:
                _print_misfits("what could not be converted", run.shown)
                raise CommandError(
                    f"{run.refused:,} values of {source.name} could not be converted: nothing is written"
                )
    console.print(f"{run.rows:,} rows written to {out}", soft_wrap=True)
    if schema is not None:
        fit = run.fitting.result()
        print_fit(str(out), name, columns, fit)
        if fit.misfits:
            raise CommandError(f"{out} is written, but does not fit {name}: {fit.misfits:,} misfits")


class _Run:
    """One table on its way through its conversions."""

    def __init__(
        self, converter: "Converter", columns: tuple[SchemaColumn, ...], reached: Callable[[int], None]
    ) -> None:
        from node.edge.tables import Fitting

        self.rows = 0
        self.refused = 0
        self.shown: list[Misfit] = []
        self.fitting = Fitting(columns, converter.names)
        self._holds = bool(columns)
        self._converter = converter
        self._reached = reached

    def take(self, batch: Any) -> Any:
        """The batch after its conversions."""
        from node.edge.tables import Batch, Misfit

        converted = self._converter.convert(batch)
        broken = [Misfit(row.row, "", "row", None, row.words) for row in batch.broken]
        self.refused += len(converted.refused) + len(broken)
        self.shown += [*broken, *converted.refused][: REFUSED_KEPT - len(self.shown)]
        self.rows += converted.cells.num_rows
        if self._holds:
            self.fitting.take(Batch(batch.rows, converted.cells, (), batch.read_bytes))
        self._reached(batch.read_bytes)
        return converted.cells


def find_schema(context: typer.Context, schema: str) -> tuple[str, tuple[SchemaColumn, ...]]:
    """Name and columns of a registered schema, or of a schema file."""
    if Path(schema).is_file():
        return schema, read_schema_file(Path(schema)).columns
    return _registered(context, schema)


def _registered(context: typer.Context, schema: str) -> tuple[str, tuple[SchemaColumn, ...]]:
    found = ask(context.obj, lambda client: client.read("schema", schema=schema))
    return found["schema"], columns_of(found)


def columns_of(found: dict[str, Any]) -> tuple[SchemaColumn, ...]:
    """The columns of a schema as the daemon's reading has it."""
    columns = ({**column, "categories": tuple(column["categories"])} for column in found["columns"])
    return tuple(SchemaColumn(**column) for column in columns)


def require_fit(context: typer.Context, path: Path, schema: str, *, quiet: bool) -> str:
    """The name with its number of the registered schema that the file's rows fit. Raises `CommandError`."""
    name, columns = _registered(context, schema)
    with opened_source(context, str(path), None) as source:
        fit = held_against(source, columns, quiet=quiet)
        if fit.misfits:
            if not quiet:
                print_fit(source.name, name, columns, fit)
            raise CommandError(f"{path} does not fit {name}: nothing was added; mend it with: lepton data convert")
    return name


@contextmanager
def opened_source(context: typer.Context, table: str, version: int | None) -> "Iterator[TableSource]":
    """A file, or a version of the vault that is read in place; what is wrong with it as a `CommandError`."""
    from node.edge.tables import TableSource, file_source

    with table_errors():
        if Path(table).is_file():
            if version is not None:
                raise CommandError(f"{table} is a file here; --version is for data sets of the vault")
            yield file_source(Path(table))
            return
        vault = open_vault(context.obj.dir, prompt_passphrase)
        try:
            kept = vault.records.version(table, version)
        except NotKept as error:
            raise CommandError(f"there is no file {table}, and {error}") from error
        if kept.kind not in ("csv", "parquet", "jsonl"):
            raise CommandError(f"{table} is of the kind {kept.kind}: only csv, parquet and jsonl have rows")
        yield TableSource(f"{table}, version {kept.number}", kept.kind, kept.plain_bytes, lambda: vault.open(kept))


@contextmanager
def table_errors() -> Iterator[None]:
    """What is wrong with a table or with the vault as a `CommandError`."""
    from node.edge.tables import TableError

    try:
        yield
    except (TableError, VaultError) as error:
        raise CommandError(str(error)) from error


def held_against(
    source: "TableSource", columns: tuple[SchemaColumn, ...], *, examples: int = 3, quiet: bool = False
) -> "Fit":
    """What of a table's rows does not fit."""
    from node.edge.tables import Fitting, open_rows

    rows = open_rows(source)
    fitting = Fitting(columns, rows.names, examples=examples)
    with progress(source.size_bytes, "checking", quiet=quiet) as reached:
        for batch in rows.batches:
            fitting.take(batch)
            reached(batch.read_bytes)
    return fitting.result()


def print_fit(table: str, schema: str, columns: tuple[SchemaColumn, ...], fit: "Fit") -> None:
    """Counts by column, and the rows that are examples."""
    types = {column.name: f"{column.type} {column.unit}".strip() for column in columns}
    print_table(
        f"{table} against {schema}",
        ["column", "type", "values", "missing", "does not fit"],
        [
            (
                found.name,
                types.get(found.name),
                f"{found.values:,}",
                f"{found.missing:,}" if found.missing else "",
                ", ".join(f"{rule}: {count:,}" for rule, count in found.misfits.items()),
            )
            for found in fit.columns
        ],
    )
    if fit.examples:
        _print_misfits("what does not fit (values are shown to you alone)", fit.examples)
    if fit.broken_rows:
        console.print(f"{fit.broken_rows:,} rows cannot be read")
    if not fit.misfits:
        console.print(f"all {fit.rows:,} rows fit {schema}")


@contextmanager
def progress(total: int, words: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar that hears how far it is, in bytes."""
    bar = Progress(
        TextColumn(words), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console, disable=quiet
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda reached: bar.update(task, completed=reached)
        bar.update(task, completed=total)


def _print_misfits(title: str, misfits: "tuple[Misfit, ...] | list[Misfit]") -> None:
    print_table(
        title,
        ["row", "column", "value", "why"],
        [(misfit.row, misfit.column, misfit.value, misfit.words) for misfit in misfits],
    )


def _preview(source: "TableSource", converter: "Converter") -> None:
    """The first rows before and after, in the columns that change."""
    from node.edge.tables import open_rows

    rows = open_rows(source)
    batch = next(rows.batches, None)
    if batch is None:
        return
    few = batch.cells.slice(0, PREVIEW_ROWS)
    after = converter.convert(type(batch)(batch.rows[:PREVIEW_ROWS], few, (), 0)).cells
    dropped = [name for name in rows.names if name not in converter.kept]
    old = [*converter.touched, *dropped]
    new = [*converter.touched.values(), *(name for name in converter.names if name not in converter.kept.values())]
    for title, names, cells in (("before", old, few), ("after", new, after)):
        columns = [cells.column(cells.schema.get_field_index(name)).to_pylist() for name in names]
        shown = [
            [number, *map(_cell, row)]
            for number, row in zip(batch.rows.tolist(), zip(*columns, strict=True), strict=False)
        ]
        print_table(f"{title}, first rows", ["row", *names], shown)


def _cell(value: Any) -> str:
    return "" if value is None else repr(value) if isinstance(value, str) else str(value)


def _fit_json(fit: "Fit") -> dict[str, Any]:
    return {
        "fits": not fit.misfits,
        "rows": fit.rows,
        "misfits": fit.misfits,
        "broken_rows": fit.broken_rows,
        "columns": [asdict(column) for column in fit.columns],
        "examples": [asdict(misfit) for misfit in fit.examples],
    }


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is no text") from error
