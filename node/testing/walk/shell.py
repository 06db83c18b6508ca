"""Types `lepton` commands as a person would, shows them with what they print, and holds that against what must be."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import Any

from rich.console import Console

from node.base.errors import ExplainedError

COMMAND_S_MAX = 180.0
PROGRESS_S_MAX = 180.0
POLL_S = 0.2
_ACCEPTED = re.compile(r"accepted at height (\d+): transaction ([0-9a-f]{64})")


class WalkFailed(ExplainedError):
    """Something was not as it must be; the text says what."""


@dataclass(frozen=True, slots=True)
class Typed:
    """One command and what it gave."""

    command: str
    output: str
    exit_code: int
    seconds: float

    @property
    def height(self) -> int:
        """Of the block that it printed. Raises `WalkFailed`."""
        return int(self._accepted(1))

    @property
    def transaction(self) -> str:
        """The id that it printed. Raises `WalkFailed`."""
        return self._accepted(2)

    def _accepted(self, group: int) -> str:
        found = _ACCEPTED.search(self.output)
        if found is None:
            raise WalkFailed(f"`{self.command}` names no transaction")
        return found.group(group)


class Shell:
    """Runs commands in the folder that holds the members' folders."""

    def __init__(self, root: Path, console: Console) -> None:
        self._root = root
        self._console = console
        self.typed: list[Typed] = []

    def title(self, text: str) -> None:
        """What comes next."""
        self._console.print(f"\n[bold]{text}[/bold]", highlight=False)

    def say(self, text: str) -> None:
        """A line between commands."""
        self._console.print(text, style="dim", highlight=False, soft_wrap=True, markup=False)

    def run(self, org: str | None, *words: str, prints: Sequence[str] = (), refused: bool = False) -> Typed:
        """Type a command to a member (or to none), and require its exit code and the words it prints.

        Raises `WalkFailed`.
        """
        typed = self._type(org, words)
        self._console.print(f"\n$ {typed.command}", style="cyan", highlight=False, soft_wrap=True, markup=False)
        self._console.print(typed.output.rstrip(), highlight=False, soft_wrap=True, markup=False)
        self.typed.append(typed)
        if (typed.exit_code != 0) is not refused:
            wanted = "refused" if refused else "done"
            raise WalkFailed(f"`{typed.command}` must be {wanted}; its exit code is {typed.exit_code}")
        # Tables and long sentences are broken into lines where the screen ends.
        flat = " ".join(typed.output.split())
        for wanted in prints:
            if wanted not in flat:
                raise WalkFailed(f"`{typed.command}` must print {wanted!r}")
        return typed

    def read(self, org: str, *words: str) -> Any:
        """What a command says with `--json`, unseen. Raises `WalkFailed`."""
        typed = self._type(org, (*words, "--json"))
        if typed.exit_code != 0:
            raise WalkFailed(f"`{typed.command}` failed: {typed.output}")
        return json.loads(typed.output)

    def must(self, what: str, holds: bool) -> None:
        """Say it when it holds. Raises `WalkFailed` when it does not."""
        if not holds:
            raise WalkFailed(f"it must be so, and is not: {what}")
        self._console.print(f"  checked: {what}", style="green", highlight=False, soft_wrap=True, markup=False)

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Look again and again until it holds. Raises `WalkFailed`."""
        until = time.monotonic() + PROGRESS_S_MAX
        while not holds():
            if time.monotonic() > until:
                raise WalkFailed(f"waited {PROGRESS_S_MAX:.0f} s for {what}")
            time.sleep(POLL_S)

    def _type(self, org: str | None, words: Sequence[str]) -> Typed:
        member = () if org is None else ("--dir", org)
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", "-m", "node.cli", *member, *words],
            cwd=self._root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        command = join(("lepton", *member, *words))
        return Typed(command, done.stdout, done.returncode, time.monotonic() - started)


def bent(text: str) -> str:
    """The same with one digit of the longest hexadecimal word changed."""
    longest = max(re.finditer(r"[0-9a-f]{64,}", text), key=lambda found: len(found.group()))
    at = (longest.start() + longest.end()) // 2
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
