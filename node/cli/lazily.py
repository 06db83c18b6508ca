"""The commands of the top level, each imported when it is asked for: all of them together take a second."""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

MARKUP: Final = "markdown"
"""Of the help texts."""

_ADDED_BY = {
    "init": "member",
    "card": "member",
    "run": "member",
    "status": "member",
    "doctor": "member",
    "recover": "care",
    "halt-at": "care",
    "network": None,
    "keys": None,
    "chain": None,
    "prove": "proof",
    "verify": "proof",
    "audit": "audit",
    "job": None,
    "data": None,
    "agreement": None,
    "schema": None,
    "contract": None,
    "model": None,
}
"""The module that adds a command, in the order in which they are listed; None for a group in a module of its name."""


class LazyGroup(TyperGroup):
    """The top level. Its help, and the completion of a command's name, load all; anything else loads one."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        unloaded: dict[str, Any] = dict.fromkeys(_ADDED_BY)
        self.commands = unloaded

    def list_commands(self, ctx: Any) -> list[str]:
        """All names."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; None where there is none of that name."""
        if cmd_name in self.commands and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)


def _load(name: str) -> Any:
    part, module = typer.Typer(rich_markup_mode=MARKUP), _ADDED_BY[name]
    if module is None:
        part.add_typer(import_module(f"node.cli.{name}").commands, name=name)
    else:
        import_module(f"node.cli.{module}").add_to(part)
    return get_group(part).commands[name]
