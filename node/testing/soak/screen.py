"""What a person sees of a soak: a live table at a terminal, a line per episode elsewhere, the judgement at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from node.base.types import OrgId
from node.testing.soak.outcome import Outcome
from node.testing.soak.plan import Episode


class Screen:
    """Shows progress while entered."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._now = "load"

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
        self._console.print(text, highlight=False, soft_wrap=True)

    def began(self, episode: Episode) -> None:
        """An episode strikes."""
        self._now = f"{episode.kind.value}: {', '.join(episode.orgs)}, for {episode.lasts_s:g} s"

    def ended(self, episode: Episode, took_s: float) -> None:
        """All went on after an episode."""
        self.say(f"{episode.number:4}  {self._now}; all went on {took_s:.1f} s later")
        self._now = "load"

    def show(
        self,
        orgs: Sequence[OrgId],
        latest: Mapping[OrgId, dict[str, Any]],
        acknowledged: int,
        unknown: int,
        left_s: float,
    ) -> None:
        """The members as they stand now."""
        if self._live is None:
            return
        table = Table("member", "height", "round", "linked", "waiting", "memory MB", "files", "tasks", "calls")
        for org in orgs:
            status = latest.get(org)
            if status is None:
                table.add_row(org, "no answer")
                continue
            linked = f"{sum(peer['connected'] for peer in status['peers'])}/{len(status['peers'])}"
            names = ("memory_mb", "open_files", "tasks", "calls")
            row = (status["height"], status["round"], linked, status["pending"], *(status[name] for name in names))
            table.add_row(org, *map(str, row))
        line = Text(f"{left_s:.0f} s left; {acknowledged} final, {unknown} unknown; {self._now}")
        self._live.update(Group(table, line))


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Memory and checks."""
    if outcome.slopes:
        console.print(_memory(outcome))
    table = Table("check", "", "", title="checks", title_justify="left")
    for check in outcome.checks:
        table.add_row(check.name, "holds" if check.holds else "FAILS", check.says)
    console.print(table)
    struck = f"{len(outcome.changes)} changes" if outcome.changes else f"{len(outcome.episodes)} episodes"
    console.print(
        f"{outcome.height} blocks, {outcome.acknowledged} transactions acknowledged, {outcome.unknown} unknown, "
        f"{struck}, {outcome.seconds:.0f} s: {'all holds' if outcome.holds else 'FAILED'}",
        highlight=False,
    )


def _memory(outcome: Outcome) -> Table:
    memory = Table(
        "member", "blocks", "first MB", "last MB", "MB per 1,000 blocks", title="memory", title_justify="left"
    )
    for slope in outcome.slopes:
        memory.add_row(
            slope.org,
            str(slope.blocks),
            f"{slope.first_mb:.1f}",
            f"{slope.last_mb:.1f}",
            f"{slope.mb_per_1000_blocks:+.3f}" + ("" if slope.judged else " (warming up, or too few)"),
        )
    return memory


def as_json(members: int, seed: int, outcome: Outcome) -> dict[str, Any]:
    """What `--json` writes."""
    return {
        "members": members,
        "seed": seed,
        "holds": outcome.holds,
        "seconds": outcome.seconds,
        "height": outcome.height,
        "acknowledged": outcome.acknowledged,
        "unknown": outcome.unknown,
        "checks": [asdict(check) for check in outcome.checks],
        "memory": [{**asdict(slope), "judged": slope.judged} for slope in outcome.slopes],
        "changes": [{"what": what, "seconds": took_s} for what, took_s in outcome.changes],
        "episodes": [
            {
                "number": episode.number,
                "kind": episode.kind.value,
                "orgs": list(episode.orgs),
                "lasts_s": episode.lasts_s,
                "recovered_s": took_s,
            }
            for episode, took_s in outcome.episodes
        ],
    }
