"""What a person sees: a live table at a terminal, a line per change elsewhere, and the figures at the end."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from node.testing.scenario.figures import Figures


class Screen:
    """Shows progress while entered."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._last: str = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, highlight=False)

    def show(
        self, orgs: Sequence[str], statuses: Mapping[str, dict[str, Any]], job: dict[str, Any] | None, rounds: int
    ) -> None:
        """The members as they stand now."""
        if self._live is not None:
            self._live.update(_members_table(orgs, statuses, rounds))
            return
        line = _line(statuses, job, rounds)
        if line != self._last:
            self._console.print(line, highlight=False)
            self._last = line


def _members_table(orgs: Sequence[str], statuses: Mapping[str, dict[str, Any]], rounds: int) -> Table:
    table = Table()
    for column in ("member", "height", "peers", "training round", "phase", "loss"):
        table.add_column(column)
    for org in orgs:
        status = statuses.get(org)
        if status is None:
            table.add_row(org, "down", "", "", "", "")
            continue
        connected = sum(peer["connected"] for peer in status["peers"])
        round_ = status["training_round"]
        table.add_row(
            org,
            str(status["height"]),
            f"{connected}/{len(status['peers'])}",
            "" if round_ is None else f"{round_} of {rounds}",
            status["phase"] or "",
            number(status["loss"]),
        )
    return table


def _line(statuses: Mapping[str, dict[str, Any]], job: dict[str, Any] | None, rounds: int) -> str:
    # Heights and losses change all the time; a log wants one line per training round and phase.
    losses = " ".join(
        f"{org} {number(status['loss'])}" for org, status in statuses.items() if status["loss"] is not None
    )
    if job is None:
        return f"{len(statuses)} members up"
    height = max((status["height"] for status in statuses.values()), default=0)
    where = f"training round {job['training_round']} of {rounds}, {job['phase'] or job['state']}"
    return f"{where}, height {height}, {len(statuses)} members, loss: {losses or '-'}"


def number(value: float | None) -> str:
    """Three decimals, or a dash for what is undefined."""
    return "-" if value is None else f"{value:.3f}"


def show_figures(console: Console, title: str, figures: Figures) -> None:
    """The table at the end."""
    table = Table(title=title, title_justify="left")
    table.add_column("member", no_wrap=True)
    for column in (
        "held out +/-",
        "AUC alone",
        "AUC together",
        "accuracy alone",
        "accuracy together",
        "AUC alone, all rows",
    ):
        table.add_column(column, justify="right")
    for member in figures.members:
        alone, everywhere = member.alone, member.alone_everywhere
        table.add_row(
            member.org,
            f"{member.together.positives}/{member.together.negatives}",
            number(alone.auc if alone else None),
            number(member.together.auc),
            number(alone.accuracy if alone else None),
            number(member.together.accuracy),
            number(everywhere.auc if everywhere else None),
        )
    table.add_section()
    together, pooled = figures.together, figures.pooled
    counts = f"{together.positives}/{together.negatives}"
    table.add_row("together, all rows", counts, "", number(together.auc), "", number(together.accuracy), "")
    table.add_row("pooled, all rows", counts, "", number(pooled.auc), "", number(pooled.accuracy), "")
    console.print(table)
