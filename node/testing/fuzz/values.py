"""Draws values of any type that the codec can write: edges of numbers, short and long texts, choices, tuples."""

import dataclasses
import enum
import random
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from node.base.codec import encode

ITEMS_MAX = 3
DRAWS_MAX = 50
_NUMBERS = (0, 1, 2, 3, 7, 255, 2**32, 2**63 - 1, -1, -(2**63))
_TEXTS = ("", "a", "ada", "sharing", "data/x", "ä€😀", "x" * 200, "\0")

Known = Mapping[Any, Callable[[random.Random], Any]]
"""How values of certain types are drawn: identifiers that mean something, sizes that fit."""


def draw(hint: Any, known: Known, chance: random.Random) -> Any:
    """One value of the type."""
    if hint in known:
        return known[hint](chance)
    if isinstance(hint, typing.NewType):
        return draw(hint.__supertype__, known, chance)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        arm = chance.choice(typing.get_args(hint))
        return None if arm is type(None) else draw(arm, known, chance)
    if typing.get_origin(hint) is tuple:
        return tuple(draw(typing.get_args(hint)[0], known, chance) for _ in range(chance.randrange(ITEMS_MAX)))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        names = [field.name for field in dataclasses.fields(hint)]
        return typing.cast(Any, hint)(**{name: draw(hints[name], known, chance) for name in names})
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        return chance.choice(list(hint))
    return _SCALARS[hint](chance)


_SCALARS: dict[Any, Callable[[random.Random], Any]] = {
    int: lambda chance: chance.choice(_NUMBERS) if chance.random() < 0.5 else chance.randrange(10_000),
    bytes: lambda chance: chance.randbytes(chance.choice((0, 1, 32, 100))),
    str: lambda chance: chance.choice(_TEXTS),
    bool: lambda chance: chance.random() < 0.5,
}


def forms(hint: Any, known: Known, chance: random.Random, count: int) -> list[bytes]:
    """Byte forms of so many drawn values; some types allow fewer combinations than can be drawn."""
    found: list[bytes] = []
    for _ in range(count * DRAWS_MAX):
        try:
            found.append(encode(draw(hint, known, chance), hint))
        except ValueError:
            continue
        if len(found) == count:
            break
    assert found, f"nothing of {hint} could be drawn"
    return found
